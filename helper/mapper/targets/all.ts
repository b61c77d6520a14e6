/* All the kinds of targets that we know, and what can be asked of any target without knowing its kind. */
import type { DmTarget } from "../../linux/dm";
import { crypt } from "./crypt";
import { delay } from "./delay";
import { error } from "./error";
import { flakey } from "./flakey";
import { linear } from "./linear";
import { raw } from "./raw";
import { snapshot } from "./snapshot";
import { snapshotOrigin } from "./snapshot-origin";
import { striped } from "./striped";
import { type Extent, type Span, type TargetKind, Words } from "./target";
import { verity } from "./verity";
import { zero } from "./zero";

/** A target with what its parameters say, whatever its kind: only its own kind can look inside. */
export interface AnyTarget extends Span {
  readonly type: string;
  format(): string[];
  extents(): Extent[];
  withDevices(replace: (device: string) => string): AnyTarget;
}

function anyTarget<T>(kind: TargetKind<T>, target: T, span: Span): AnyTarget {
  return {
    type: kind.type,
    start: span.start,
    length: span.length,
    format: () => kind.format(target),
    extents: () => kind.extents(target, span),
    withDevices: (replace) => anyTarget(kind, kind.withDevices(target, replace), span),
  };
}

const reader = <T>(kind: TargetKind<T>) => {
  const read = (words: Words, span: Span) => anyTarget(kind, kind.parse(words, span), span);
  return [kind.type, read] as const;
};
const readers = new Map([
  reader(linear),
  reader(striped),
  reader(zero),
  reader(error),
  reader(delay),
  reader(flakey),
  reader(snapshotOrigin),
  reader(snapshot),
  reader(verity),
  reader(crypt),
]);

/** @throws Problem invalid where the parameters are not of the target's form */
export function parseTarget(target: DmTarget): AnyTarget {
  const read = readers.get(target.type);
  const words = new Words(target.type, target.params);
  return read ? read(words, target) : reader(raw(target.type))[1](words, target);
}

export function formatTarget(target: AnyTarget): DmTarget {
  return { start: target.start, length: target.length, type: target.type, params: target.format().join(" ") };
}

export function extentsOf(target: AnyTarget): Extent[] {
  return target.extents();
}

export function withDevices(target: AnyTarget, replace: (device: string) => string): AnyTarget {
  return target.withDevices(replace);
}

/** The devices that a target names, as they are written. */
export function devicesOf(target: AnyTarget): string[] {
  const devices: string[] = [];
  target.withDevices((device) => {
    devices.push(device);
    return device;
  });
  return devices;
}
