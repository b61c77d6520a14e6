/* Which way to root is taken: by the setting diskloom.elevation, the first that can work here. */
import { l10n } from "vscode";
import { type Ask, Askpass } from "./askpass";
import { direct } from "./direct";
import { Failure } from "./failure";
import type { Machine } from "./machine";
import { polkit } from "./polkit";
import type { Listener } from "./process";
import { sudo } from "./sudo";
import { type Refusal, StartError, type Way } from "./way";

export const settings = ["auto", "direct", "sudo", "polkit"] as const;
export type Setting = (typeof settings)[number];

/** What the ways need from elsewhere. */
export interface Surroundings {
  machine: Machine;
  /** Gets what is said on stderr. */
  listen: Listener;
  ask: Ask;
  /** The folder of our own programs that take part in it. */
  programs: string;
  /** polkit's action for what is run. */
  action: string;
}

/** The ways that a setting allows, in the order they are tried. */
export function waysFor(setting: Setting, surroundings: Surroundings): Way[] {
  const { machine, listen, ask, programs } = surroundings;
  const ways: Record<Setting, () => Way[]> = {
    direct: () => [direct(machine, listen)],
    sudo: () => [sudo(machine, listen), new Askpass(machine, listen, ask, programs)],
    polkit: () => [polkit(surroundings, true)],
    auto: () => [...ways.direct(), ...ways.sudo(), polkit(surroundings, false)],
  };
  return ways[setting]();
}

/**
 * Starts by the first way that works, and says in the log why that one. A way that only turns out not to work when it
 * is tried makes room for the next; where the user has had their say (a wrong password, a refusal), that is the end.
 *
 * @throws Failure with what the user can do about it
 */
export async function elevate<T>(
  ways: Way[],
  start: (way: Way) => Promise<T>,
  log: (said: string) => void,
): Promise<T> {
  let refusal: Refusal | undefined;
  let obstacle: string | undefined;
  for (const way of ways) {
    const found = await way.obstacle();
    if (found !== undefined) {
      log(`Not by ${way.name}: ${found}`);
      obstacle = found;
      continue;
    }
    log(`Becoming root by ${way.name}.`);
    try {
      return await start(way);
    } catch (error) {
      const said = error instanceof StartError ? error.said : String(error);
      refusal = way.refusal(said);
      log(`${way.name} failed: ${said || "nothing was said"}`);
      if (refusal.kind !== "next") {
        break;
      }
    }
  }
  if (refusal?.kind === "cancelled") {
    throw new Failure("cancelled", refusal.advice);
  }
  // What was tried tells more than what couldn't be, and of that the last, which leads furthest.
  const advice = refusal?.advice ?? obstacle ?? "";
  throw new Failure("notPrivileged", `${l10n.t("Diskloom needs root rights for that.")} ${advice}`.trim());
}
