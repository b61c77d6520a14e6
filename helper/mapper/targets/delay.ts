/* delay: a stretch of a device, later. Documentation/admin-guide/device-mapper/delay.rst */
import { extentAt, formatPlace, type Place, replaceIn, type TargetKind, type Words } from "./target";

export interface DelayedPlace extends Place {
  milliseconds: number;
}

/** "device offset delay", once for all, or for reads and writes, or for reads, writes and flushes. */
export interface Delay {
  read: DelayedPlace;
  write?: DelayedPlace;
  flush?: DelayedPlace;
}

export const delay: TargetKind<Delay> = {
  type: "delay",
  parse(words) {
    const target: Delay = { read: parsePlace(words) };
    if (words.left > 0) {
      target.write = parsePlace(words);
    }
    if (words.left > 0) {
      target.flush = parsePlace(words);
    }
    words.end();
    return target;
  },
  format: (target) => placesOf(target).flatMap((place) => [...formatPlace(place), String(place.milliseconds)]),
  extents: (target, { length }) => placesOf(target).map((place) => extentAt(place, length)),
  withDevices: ({ read, write, flush }, replace) => {
    const replaced = (place: DelayedPlace) => ({ ...place, ...replaceIn(place, replace) });
    return {
      read: replaced(read),
      ...(write && { write: replaced(write) }),
      ...(flush && { flush: replaced(flush) }),
    };
  },
};

function parsePlace(words: Words): DelayedPlace {
  return { ...words.place("the device"), milliseconds: words.number("the delay") };
}

function placesOf({ read, write, flush }: Delay): DelayedPlace[] {
  return [read, write, flush].filter((place) => place !== undefined);
}
