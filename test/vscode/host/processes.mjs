/** Ending process groups: a VS Code is a dozen processes, and none of them may survive a test. */
import { readdirSync, readFileSync } from "node:fs";

const POLL_MILLISECONDS = 50;
/** How long a process may take to end by itself, and how long a slow machine to take away what is killed. */
const PATIENCE_MILLISECONDS = { SIGTERM: 3000, SIGKILL: 30_000 };

/**
 * @param {number} group
 * @param {NodeJS.Signals} signal
 */
export function killGroup(group, signal) {
  try {
    process.kill(-group, signal);
  } catch {
    // There is none any more.
  }
}

/**
 * Whether a process of a group still runs. One that has ended, and whose new parent hasn't taken note of it, doesn't:
 * the first process of a container may take seconds for that, or never do it.
 *
 * @param {number} group
 */
function isAlive(group) {
  return readdirSync("/proc").some((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      // proc_pid_stat(5): pid (command) state parent group; a command may have blanks and brackets in it.
      const [state, , itsGroup] = readFileSync(`/proc/${name}/stat`, "utf8")
        .replace(/^.*\) /s, "")
        .split(" ");
      return Number(itsGroup) === group && state !== "Z" && state !== "X";
    } catch {
      // It ended while we looked.
      return false;
    }
  });
}

/**
 * Ends a process group, politely first, and resolves when its last process is gone.
 *
 * @param {number} group
 * @throws {Error} if it survives even SIGKILL, which takes a process stuck in the kernel
 */
export async function endGroup(group) {
  for (const signal of /** @type {const} */ (["SIGTERM", "SIGKILL"])) {
    killGroup(group, signal);
    const deadline = Date.now() + PATIENCE_MILLISECONDS[signal];
    while (Date.now() < deadline) {
      if (!isAlive(group)) return;
      await new Promise((resolve) => setTimeout(resolve, POLL_MILLISECONDS));
    }
  }
  throw new Error(`Process group ${group} did not end`);
}
