/*
 * A reporter for Node's test runner that writes what a machine wants to know of a run, a line of JSON for each file,
 * each failure and, at the end, the counts. results.mjs reads it.
 */
import { stripVTControlCharacters } from "node:util";

/** @typedef {import("./results.mjs").Entry} Entry */

const LAST_WORDS = 6;

/**
 * What is read here of the runner's events; which have which, Node's documentation of TestsStream tells.
 *
 * @typedef {object} EventData
 * @property {string} name
 * @property {string} file
 * @property {number} nesting
 * @property {string} message
 * @property {{duration_ms: number, error: Error & {failureType?: string}}} details
 */

/**
 * @param {AsyncIterable<{type: string, data: EventData}>} events
 * @returns {AsyncGenerator<string>}
 */
export default async function* report(events) {
  /** @type {Record<string, number>} */
  const counts = {};
  /** The tests that are under way, each inside the one before. @type {string[]} */
  let names = [];
  let file = "";
  let complaints = "";
  for await (const { type, data } of events) {
    if (type === "test:dequeue" && data.name === data.file) {
      file = data.file;
      complaints = "";
    } else if (type === "test:start") {
      names = [...names.slice(0, data.nesting), data.name];
    } else if (type === "test:stderr") {
      complaints += data.message;
    } else if (type === "test:diagnostic" && data.nesting === 0) {
      const [, name, number] = /^(\w+) ([\d.]+)$/.exec(data.message) ?? [];
      if (name) counts[name] = Number(number);
    } else if (type === "test:complete" && data.name === data.file) {
      yield line({ file, seconds: data.details.duration_ms / 1000 });
    } else if (type === "test:fail" && data.details.error.failureType !== "subtestsFailed") {
      // Of a file that died, or whose hooks failed, there is no test to name.
      const isFile = data.name === data.file;
      const path = isFile ? [] : [...names.slice(0, data.nesting), data.name];
      const failure = { file, path, ...told(data.details.error) };
      if (isFile && failure.stack.length === 0) {
        failure.message += `\n${lastWords(complaints)}`;
      }
      yield line({ failure });
    }
  }
  yield line({ counts });
}

/**
 * What a file that died had to say, without what Node says of itself.
 *
 * @param {string} complaints
 */
function lastWords(complaints) {
  const lines = stripVTControlCharacters(complaints).split("\n");
  return lines
    .filter((line) => line.trim() && !/\(node:|at node:|^Node\.js v/.test(line))
    .slice(-LAST_WORDS)
    .join("\n");
}

/** @param {Entry} entry */
function line(entry) {
  return `${JSON.stringify(entry)}\n`;
}

/**
 * @param {Error} error the runner's own, around what was thrown
 * @returns {{message: string, stack: string[]}}
 */
function told(error) {
  const thrown = error.cause instanceof Error ? error.cause : error;
  const message = thrown === error ? error.message : `${thrown.name}: ${thrown.message}`;
  const frames = (thrown.stack ?? "").split("\n").filter((frame) => /^ +at .*[/:]/.test(frame));
  return { message: stripVTControlCharacters(message), stack: thrown === error ? [] : frames.map((at) => at.trim()) };
}
