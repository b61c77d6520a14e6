/* striped: stretches of devices in turn (RAID 0). Documentation/admin-guide/device-mapper/striped.rst */
import { type Sectors, sectors } from "../../linux/dm";
import { extentAt, formatPlace, type Place, replaceIn, type TargetKind } from "./target";

/** "stripes chunk (device offset)…" */
export interface Striped {
  chunk: Sectors;
  stripes: Place[];
}

export const striped: TargetKind<Striped> = {
  type: "striped",
  parse(words, { length }) {
    const count = words.number("the number of stripes");
    const chunk = words.sectors("the size of a chunk");
    if (count === 0 || chunk === 0) {
      throw words.problem("there are no stripes, or they have no size");
    }
    // Checked before anything is made of the count, which may be any number.
    if (words.left !== count * 2) {
      throw words.problem(`there are ${words.left} words where ${count} devices and offsets are announced`);
    }
    if (length % count !== 0 || (length / count) % chunk !== 0) {
      throw words.problem(`its length, ${length} sectors, does not divide into ${count} stripes of whole chunks`);
    }
    return { chunk, stripes: Array.from({ length: count }, () => words.place("a stripe's device")) };
  },
  format: ({ chunk, stripes }) => [String(stripes.length), String(chunk), ...stripes.flatMap(formatPlace)],
  extents: ({ stripes }, { length }) => stripes.map((place) => extentAt(place, sectors(length / stripes.length))),
  withDevices: (target, replace) => ({ ...target, stripes: target.stripes.map((place) => replaceIn(place, replace)) }),
};
