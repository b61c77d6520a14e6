/* A helper, or a program that becomes one, as a process of ours. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Command } from "./runtime";
import type { RunningHelper } from "./way";

/** What is kept of stderr, for the reason why it didn't start. */
const KEPT_OUTPUT = 2000;

/** Takes a line of stderr. @returns whether it was meant for nobody else: it is not kept, then, nor logged */
export type Listener = (line: string) => boolean;

/**
 * Starts a program without a shell, with no environment but the one that the command names.
 * @param detached whether it leads a process group of its own
 * @throws Error where there is no such program
 */
export function spawnHelper(
  { program, args, environment }: Command,
  listen: Listener,
  detached = false,
): Promise<RunningHelper> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env: environment, cwd: "/", stdio: ["pipe", "pipe", "pipe"], detached });
    let said = "";
    createInterface({ input: child.stderr, crlfDelay: Number.POSITIVE_INFINITY }).on("line", (line) => {
      if (!listen(line)) {
        said = `${said}${line}\n`.slice(-KEPT_OUTPUT);
      }
    });
    // Writing to one that has ended; that it has, its stdout tells.
    child.stdin.on("error", () => {});
    // After stderr's last line, too, which the end of stdout can be ahead of.
    const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
    child.once("spawn", () =>
      resolve({
        input: child.stdin,
        output: child.stdout,
        said: () => said,
        ended,
        close() {
          child.stdin.end();
          // Ends what still waits for a password. A helper takes it for the end of stdin, and what is root isn't ours
          // to signal, which is no error.
          child.kill();
        },
      }),
    );
    child.on("error", reject);
  });
}
