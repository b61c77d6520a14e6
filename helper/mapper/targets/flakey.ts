/* flakey: a stretch of a device that fails now and then. Documentation/admin-guide/device-mapper/dm-flakey.rst */
import { extentAt, formatPlace, type Place, replaceIn, type TargetKind, withCount } from "./target";

/** "device offset up down [count feature…]" */
export interface Flakey extends Place {
  upSeconds: number;
  downSeconds: number;
  features: string[];
}

export const flakey: TargetKind<Flakey> = {
  type: "flakey",
  parse(words) {
    const target = {
      ...words.place("the device"),
      upSeconds: words.number("how long it is up"),
      downSeconds: words.number("how long it is down"),
      features: words.counted("features"),
    };
    if (target.upSeconds + target.downSeconds === 0) {
      throw words.problem("it is neither up nor down");
    }
    return target;
  },
  format: (target) => [
    ...formatPlace(target),
    String(target.upSeconds),
    String(target.downSeconds),
    ...withCount(target.features),
  ],
  extents: (target, { length }) => [extentAt(target, length)],
  withDevices: (target, replace) => ({ ...target, ...replaceIn(target, replace) }),
};
