/* What this machine has for becoming root. */
import { execFile } from "node:child_process";
import { accessSync, constants, readFileSync } from "node:fs";
import { hostname, userInfo } from "node:os";
import { join } from "node:path";

/** Where setuid programs are, NixOS's place for them first; never what a user's PATH says. */
export const SYSTEM_PATH = "/run/wrappers/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** How long a question that needs no person may take, in milliseconds: name services on the network can be slow. */
const PATIENCE = 20_000;

export interface Machine {
  readonly user: string;
  readonly host: string;
  isRoot(): boolean;
  /** The kernel gives no setuid program any right here: prctl(2), PR_SET_NO_NEW_PRIVS. */
  hasNoNewPrivileges(): boolean;
  /** The path of a system's program, `undefined` where there is none. */
  find(program: string): string | undefined;
  /** Whether polkit lets us through unasked, would ask if there is somebody to ask by, or refuses. */
  polkitAnswer(action: string): Promise<"yes" | "asks" | "no">;
  /** Whether there is a desktop, which has a dialog of polkit's. */
  hasDesktop(): boolean;
}

export const thisMachine: Machine = {
  get user() {
    try {
      return userInfo().username;
    } catch {
      // Not in the user database, as in many a container.
      return `user ${process.geteuid?.()}`;
    }
  },
  host: hostname(),
  isRoot: () => process.geteuid?.() === 0,
  hasNoNewPrivileges: () => /^NoNewPrivs:\s*1$/m.test(textOf("/proc/self/status")),
  find: (program) =>
    SYSTEM_PATH.split(":")
      .map((folder) => join(folder, program))
      .find(isExecutable),
  polkitAnswer: async (action) => {
    const status = await statusOf("pkcheck", ["--action-id", action, "--process", String(process.pid)]);
    // pkcheck(1): 2 is a challenge that it was told not to let anybody answer.
    return status === 0 ? "yes" : status === 2 ? "asks" : "no";
  },
  hasDesktop: () => Boolean(process.env.WAYLAND_DISPLAY || process.env.DISPLAY),
};

function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function statusOf(program: string, args: string[]): Promise<number> {
  const options = { env: { PATH: SYSTEM_PATH }, cwd: "/", timeout: PATIENCE };
  return new Promise((resolve) => {
    const child = execFile(program, args, options, (error) => resolve(error ? (child.exitCode ?? -1) : 0));
  });
}
