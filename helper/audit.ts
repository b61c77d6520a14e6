/*
 * What was done as root, for whom, and how it ended, for the system's log. Of a request only what names the thing that
 * it is about: tables and messages of the device mapper can have keys in them.
 */
import type { Caller } from "./caller";
import { syslog } from "./linux/syslog";

const NAMING = ["path", "device", "name", "target", "readOnly", "whenBusy", "confirmForeign", "remove"] as const;
/** What stderr may keep back for a client that doesn't read it; bytes. */
const MOST_UNREAD = 65536;

/**
 * Logs one deed, on stderr where the system has no log. Only what is done as root is of interest.
 * @param outcome "done", or why not
 */
export function logDeed(
  caller: Caller,
  method: string,
  params: Readonly<Record<string, unknown>>,
  outcome: string,
): void {
  if (process.geteuid?.() !== 0) {
    return;
  }
  const named = NAMING.flatMap((name) => (params[name] === undefined ? [] : [`${name}=${inOneLine(params[name])}`]));
  const line = [`${inOneLine(caller.name)} (${caller.uid})`, method, ...named].join(" ");
  const text = `${line}: ${inOneLine(outcome)}`;
  if (!syslog(text) && process.stderr.writableLength < MOST_UNREAD) {
    process.stderr.write(`${text}\n`);
  }
}

/** Names are the caller's to choose: none is to look like the end of a line, or like an order to a terminal. */
function inOneLine(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\x7f-\x9f\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
