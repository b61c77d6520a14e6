/* error: all I/O fails. */
import { extentAt, formatPlace, type Place, replaceIn, type TargetKind } from "./target";

/** Nothing, or "device offset" of one whose properties it takes on (Linux 6.7). */
export interface ErrorTarget {
  like?: Place;
}

export const error: TargetKind<ErrorTarget> = {
  type: "error",
  parse(words) {
    const target = words.left === 0 ? {} : { like: words.place("the device") };
    words.end();
    return target;
  },
  format: ({ like }) => (like ? formatPlace(like) : []),
  extents: ({ like }, { length }) => (like ? [extentAt(like, length)] : []),
  withDevices: ({ like }, replace) => (like ? { like: replaceIn(like, replace) } : {}),
};
