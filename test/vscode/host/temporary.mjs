/** Temporary folders that are gone when the process is, however it ends short of SIGKILL. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * @typedef {object} TemporaryFolder
 * @property {string} path
 * @property {() => void} remove
 * @property {() => void} removeAfterOthers moves its removal at exit behind that of whatever was registered meanwhile,
 *   such as the end of a program that still writes there
 */

/**
 * @param {string} name what the folder's name begins with
 * @returns {TemporaryFolder}
 */
export function temporaryFolder(name) {
  const path = mkdtempSync(join(tmpdir(), `${name}-`));
  // Retries, since a process that is just being ended may still make files.
  const atExit = () => rmSync(path, { recursive: true, force: true, maxRetries: 5 });
  process.once("exit", atExit);
  return {
    path,
    remove: () => {
      process.off("exit", atExit);
      atExit();
    },
    removeAfterOthers: () => {
      process.off("exit", atExit);
      process.once("exit", atExit);
    },
  };
}
