/* linear: a stretch of a device. Documentation/admin-guide/device-mapper/linear.rst */
import { extentAt, formatPlace, type Place, replaceIn, type TargetKind } from "./target";

/** "device offset" */
export type Linear = Place;

export const linear: TargetKind<Linear> = {
  type: "linear",
  parse(words) {
    const place = words.place("the device");
    words.end();
    return place;
  },
  format: formatPlace,
  extents: (target, { length }) => [extentAt(target, length)],
  withDevices: replaceIn,
};
