/* Becoming root by sudo where it asks for no password. */
import { noNewPrivileges, SUDO_MISSING, sudoRefusal } from "./advice";
import { type Machine, SYSTEM_PATH } from "./machine";
import { type Listener, spawnHelper } from "./process";
import { asRoot, type Command } from "./runtime";
import type { Way } from "./way";

export function sudo(machine: Machine, listen: Listener): Way {
  return {
    name: "sudo without a password",
    // Whether sudo wants a password depends on the very command, and nothing but running that tells: `sudo -l` says what
    // is allowed, with a password or without one.
    obstacle: async () => sudoObstacle(machine),
    start: (helper) => spawnHelper(sudoCommand(machine, ["-n"], helper), listen),
    refusal: sudoRefusal,
  };
}

/** Why no sudo at all can work here. */
export function sudoObstacle(machine: Machine): string | undefined {
  return noNewPrivileges(machine) ?? (machine.find("sudo") ? undefined : SUDO_MISSING);
}

/** @param options sudo's own; what they need of an environment has to be added to the command's */
export function sudoCommand(machine: Pick<Machine, "find">, options: string[], helper: Command): Command {
  return {
    program: machine.find("sudo") ?? "sudo",
    args: [...options, "--", ...asRoot(helper)],
    // Its words are to be English: advice follows from them.
    environment: { PATH: SYSTEM_PATH, LANG: "C.UTF-8" },
  };
}
