/* What came of a run of the tests, and how it is told: shortly, as a CI shows the end of a log only. */
import { existsSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";

const root = join(import.meta.dirname, "../..");

/** Of one failure; with its title and its places that makes less than a dozen. */
const MESSAGE_LINES = 8;
const LINE_LENGTH = 200;
const PLACES = 2;

/**
 * @typedef {object} Failure
 * @property {string} file of the tests; empty where it's none of theirs
 * @property {string[]} path the names of the test and of those around it
 * @property {string} message
 * @property {string[]} stack
 */
/** @typedef {{file: string, seconds: number}} Time how long a file of tests took */
/** @typedef {{failure: Failure} | Time | {counts: Record<string, number>}} Entry */
/** @typedef {{passed: number, failed: number, failures: Failure[]}} Count */

/**
 * @param {string} name what failed, if it is no test
 * @param {string} message
 * @returns {Count}
 */
export function failedAltogether(name, message) {
  return { passed: 0, failed: 1, failures: [{ file: "", path: [name], message, stack: [] }] };
}

/**
 * @param {string} file what reporter.mjs wrote
 * @param {number | null} status the runner's exit status
 * @returns {Count}
 */
export function readResults(file, status) {
  const entries = readEntries(file);
  const failures = entries.flatMap((entry) => ("failure" in entry ? [entry.failure] : []));
  const counts = entries.flatMap((entry) => ("counts" in entry ? [entry.counts] : []))[0] ?? {};
  const { pass = 0, fail = 0, skipped = 0, todo = 0, cancelled = 0 } = counts;
  const left = skipped + todo;
  if (left > 0) {
    const message = `${left} tests were skipped or left to do: that counts as failed.`;
    failures.push({ file: "", path: ["all tests are run"], message, stack: [] });
  }
  const failed = Math.max(fail + cancelled + left, failures.length);
  if (failed > 0 || (status === 0 && pass > 0)) {
    return { passed: pass, failed, failures };
  }
  // A runner that dies without a word has failed, whatever it had counted.
  return failedAltogether("the test runner", `It ended with ${status} after ${pass} tests had passed.`);
}

/**
 * @param {string} file what reporter.mjs wrote
 * @returns {Time[]} of the files that came to their end, the longest first
 */
export function readTimes(file) {
  const times = readEntries(file).flatMap((entry) => ("seconds" in entry ? [entry] : []));
  return times.sort((a, b) => b.seconds - a.seconds);
}

/** @param {string} file @returns {Entry[]} */
function readEntries(file) {
  const lines = existsSync(file) ? readFileSync(file, "utf8").split("\n") : [];
  // A runner that was killed may leave half a line.
  return lines.flatMap((line) => (line.endsWith("}") ? [/** @type {Entry} */ (JSON.parse(line))] : []));
}

/** @param {Count[]} counts @returns {Count} */
export function sum(counts) {
  return {
    passed: counts.reduce((total, { passed }) => total + passed, 0),
    failed: counts.reduce((total, { failed }) => total + failed, 0),
    failures: counts.flatMap(({ failures }) => failures),
  };
}

/**
 * All that one needs to know of a failure to begin looking for its cause.
 *
 * @param {string} tier
 * @param {Failure} failure
 */
export function inFull(tier, failure) {
  const places = failure.stack.filter((at) => at.includes(root) && !at.includes("/node_modules/"));
  return [
    `✖ ${title(tier, failure)}`,
    ...telling(failure.message).map((line) => `  ${line}`),
    ...places.slice(0, PLACES).map((at) => `    ${at.replaceAll(`${root}/`, "")}`),
  ].join("\n");
}

/**
 * @param {string} tier
 * @param {Failure} failure
 */
export function title(tier, { file, path }) {
  const name = relative(join(root, "dist/test"), file).replace(/\.js$/, "");
  return [file ? `${tier}: ${name}` : tier, ...path].join(" › ");
}

/**
 * @param {string} message
 * @returns {string[]} the lines of it that tell most
 */
function telling(message) {
  let lines = message.split("\n").filter((line) => line.trim());
  if (lines.length > MESSAGE_LINES) {
    // Of two values that differ, where they do.
    const different = lines.filter((line, index) => index > 0 && /^[+-](?! actual)/.test(line));
    lines = [...lines.slice(0, 1), ...(different.length > 0 ? different : lines.slice(1))];
  }
  const shown = lines.slice(0, MESSAGE_LINES).map((line) => line.slice(0, LINE_LENGTH));
  return lines.length > MESSAGE_LINES ? [...shown.slice(0, -1), "…"] : shown;
}
