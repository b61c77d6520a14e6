/*
 * The descriptors that a thread of ours has open, where the main thread sees them: what ends a thread amid its work (it
 * runs out of memory) ends no scope that would close them, and a device that stays open can't be detached.
 */
import { workerData } from "node:worker_threads";

/** More than a thread has open at a time; what there is no room for isn't noted. */
const ROOM = 64;

/** Each as its number and 1, so that 0 is none. The first place is for who opens only one at a time, and counts calls. */
export type OpenHere = Int32Array<SharedArrayBuffer>;

export function makeRoom(): OpenHere {
  return new Int32Array(new SharedArrayBuffer(ROOM * Int32Array.BYTES_PER_ELEMENT));
}

/** This thread's; the main thread's own isn't kept. */
export const openHere: Int32Array = workerData instanceof Int32Array ? workerData : new Int32Array(1);
const isKept = workerData instanceof Int32Array;

export function noteOpen(fd: number): void {
  if (isKept) {
    const place = openHere.indexOf(0, 1);
    if (place > 0) {
      openHere[place] = fd + 1;
    }
  }
}

/** To be called before it is closed: by then, another thread may have the number. */
export function noteClosing(fd: number): void {
  if (isKept) {
    const place = openHere.indexOf(fd + 1, 1);
    if (place > 0) {
      openHere[place] = 0;
    }
  }
}

/** What a thread has left open that has ended. */
export function leftOpen(room: OpenHere): number[] {
  return [...room].filter((entry) => entry > 0).map((entry) => entry - 1);
}
