/*
 * The descriptors that a thread of ours has open, where the main thread sees them: what ends a thread amid its work (it
 * runs out of memory) ends no scope that would close them, and a device that stays open can't be detached.
 */
import { workerData } from "node:worker_threads";

/** More than a thread has open at a time; what there is no room for isn't noted. */
const ROOM = 64;

/** Each as its number and 1, so that 0 is none. */
export type OpenHere = Int32Array<SharedArrayBuffer>;

export function makeRoom(): OpenHere {
  return new Int32Array(new SharedArrayBuffer(ROOM * Int32Array.BYTES_PER_ELEMENT));
}

/** This thread's; the main thread has none, as nothing outlives it. */
const here: Int32Array | undefined = workerData instanceof Int32Array ? workerData : undefined;

/** The first place is for who opens one at a time, many times: it need not be looked for. */
const BRIEFLY = 0;

export function noteOpen(fd: number): void {
  replace(0, fd + 1);
}

/** To be called before it is closed: by then, another thread may have the number. */
export function noteClosing(fd: number): void {
  replace(fd + 1, 0);
}

/** As `noteOpen`, until `noteNoneBriefly`. */
export function noteBriefly(fd: number): void {
  if (here) {
    here[BRIEFLY] = fd + 1;
  }
}

/** As `noteClosing`, of the last that was noted so. */
export function noteNoneBriefly(): void {
  if (here) {
    here[BRIEFLY] = 0;
  }
}

function replace(entry: number, by: number): void {
  const place = here?.indexOf(entry, BRIEFLY + 1) ?? -1;
  if (here && place > 0) {
    here[place] = by;
  }
}

/** What a thread has left open that has ended. */
export function leftOpen(room: OpenHere): number[] {
  return [...room].filter((entry) => entry > 0).map((entry) => entry - 1);
}
