/* snapshot: a device as it was, and what was written since. Documentation/admin-guide/device-mapper/snapshot.rst */
import { type Sectors, sectors } from "../../linux/dm";
import { type TargetKind, withCount } from "./target";

/** "origin exceptions persistence chunk [count feature…]" */
export interface Snapshot {
  origin: string;
  /** Where what differs is kept (the "COW device"). */
  exceptions: string;
  /** "P": kept over a restart; "N": not; "PO": kept, with room for an overflow to be reported. */
  persistence: "P" | "PO" | "N";
  chunk: Sectors;
  features: string[];
}

export const snapshot: TargetKind<Snapshot> = {
  type: "snapshot",
  parse(words) {
    const origin = words.word("the origin");
    const exceptions = words.word("the device for exceptions");
    const persistence = words.word("the persistence");
    if (persistence !== "P" && persistence !== "PO" && persistence !== "N") {
      throw words.problem("the persistence is neither P, PO nor N");
    }
    const chunk = words.sectors("the size of a chunk");
    if (chunk === 0 || !Number.isInteger(Math.log2(chunk))) {
      throw words.problem("the size of a chunk is not a power of two");
    }
    if (origin === exceptions) {
      throw words.problem("the origin can't take its own exceptions");
    }
    return { origin, exceptions, persistence, chunk, features: words.counted("features") };
  },
  format: ({ origin, exceptions, persistence, chunk, features }) => [
    origin,
    exceptions,
    persistence,
    String(chunk),
    ...withCount(features),
  ],
  // The exceptions need what they need: how much, shows when they are written.
  extents: ({ origin, exceptions }, { start, length }) => [
    { device: origin, start: sectors(0), length: sectors(start + length), onlyRead: true },
    { device: exceptions, start: sectors(0), length: sectors(0) },
  ],
  withDevices: (target, replace) => ({
    ...target,
    origin: replace(target.origin),
    exceptions: replace(target.exceptions),
  }),
};
