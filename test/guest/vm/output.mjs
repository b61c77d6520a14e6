import { spawnSync } from "node:child_process";

/**
 * Runs a program to its end and gives what it wrote to stdout. Throws an Error with its last words where it fails.
 *
 * @param {string} program
 * @param {string[]} args
 * @param {{cwd?: string, input?: string}} [options]
 * @returns {Buffer}
 */
export function outputOf(program, args, options = {}) {
  const result = spawnSync(program, args, {
    ...options,
    // We read what programs print, so they must not translate it.
    env: { ...process.env, LC_ALL: "C" },
    maxBuffer: 256 * 1024 * 1024,
  });
  if (result.status === 0) return result.stdout;
  const reason = result.error?.message ?? `ended with ${result.status ?? result.signal}`;
  throw new Error(`${program} ${args.join(" ")}: ${reason}\n${result.stderr ?? ""}`.trim());
}
