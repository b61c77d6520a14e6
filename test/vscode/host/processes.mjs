/** Ending process groups: a VS Code is a dozen processes, and none of them may survive a test. */

const POLL_MILLISECONDS = 50;
const PATIENCE_MILLISECONDS = 3000;

/**
 * @param {number} group
 * @param {NodeJS.Signals | 0} signal
 * @returns {boolean} whether there was anything left to signal
 */
export function killGroup(group, signal) {
  try {
    process.kill(-group, signal);
    return true;
  } catch {
    return false;
  }
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
    const deadline = Date.now() + PATIENCE_MILLISECONDS;
    while (Date.now() < deadline) {
      if (!killGroup(group, 0)) return;
      await new Promise((resolve) => setTimeout(resolve, POLL_MILLISECONDS));
    }
  }
  throw new Error(`Process group ${group} did not end`);
}
