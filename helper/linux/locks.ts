/* Who holds a lock: /proc/locks, proc_locks(5). */
import { readFileSync } from "node:fs";
import { devnum } from "./devnum";
import type { OpenFile } from "./file";

/**
 * The process that holds the exclusive BSD lock on a file, by its number as far as it can be seen from here; `undefined`
 * where none does.
 */
export function flockHolder(file: OpenFile): string | undefined {
  const { dev, ino } = file.stat();
  return parseFlockHolder(readFileSync("/proc/locks", "utf8"), dev, ino);
}

/** @param dev,ino what stat(2) says of the file */
export function parseFlockHolder(locks: string, dev: bigint, ino: bigint): string | undefined {
  // The kernel writes the file system's device in hexadecimal, and with two digits at least.
  const device = devnum(dev).replace(/\d+/g, (number) => Number(number).toString(16).padStart(2, "0"));
  const place = `${device}:${ino}`;
  for (const line of locks.split("\n")) {
    // "12: FLOCK  ADVISORY  WRITE 4711 00:05:123 0 EOF"; whoever waits for one has "->" behind the number.
    const [, kind, , access, holder, where] = line.split(/\s+/);
    if (kind === "FLOCK" && access === "WRITE" && where === place) {
      return holder;
    }
  }
  return undefined;
}
