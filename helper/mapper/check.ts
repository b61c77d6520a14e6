/* Tables before the kernel sees them: what it would refuse without saying why, or would take and never should. */
import { statSync } from "node:fs";
import { type Devnum, devnum, parseDevnum } from "../linux/devnum";
import { bytesIn, type DmTarget, type Sectors, sectors } from "../linux/dm";
import type { DmControl } from "../linux/dmcontrol";
import { isErrno, withErrno } from "../linux/errno";
import { devnumOf, list, readNumber } from "../linux/sysfs";
import { Problem } from "../problem";
import type { MapperTarget } from "../protocol";
import type { MapperDeps } from "./deps";
import { toKernel } from "./table";
import { type AnyTarget, devicesOf, extentsOf, formatTarget, parseTarget, withDevices } from "./targets/all";

/** A table ready to load. */
export interface PreparedTable {
  targets: DmTarget[];
  /** Those that it names, as far as can be told. */
  devices: Devnum[];
  readOnly: boolean;
}

/**
 * Checks a table, and fixes every device in it by its number: what was checked is what is loaded, as a path that is
 * swapped afterwards means nothing any more.
 * @param ofDevice the device that it is for, where there is one
 * @throws Problem invalid, notFound, notPermitted also where a device that would be written to is read-only
 */
export async function prepareTable(
  { control, permit }: MapperDeps,
  table: readonly MapperTarget[],
  readOnly: boolean,
  ofDevice?: Devnum,
): Promise<PreparedTable> {
  const targets = table.map(toKernel);
  checkOrder(targets);
  await checkTypes(control, targets);
  const pinned = targets.map((target) => withDevices(parseTarget(target), resolveDevice));
  for (const target of pinned) {
    checkDevices(target, readOnly, ofDevice);
  }
  const devices = [...new Set(pinned.flatMap(devicesOf).map(parseDevnum))];
  await permit?.(devices, readOnly);
  return { targets: pinned.map(formatTarget), devices, readOnly };
}

/** The lines must follow one another from sector 0 on, without a gap (dm_table_add_target in the kernel). */
export function checkOrder(targets: readonly DmTarget[]): void {
  if (targets.length === 0) {
    throw new Problem("invalid", "The table is empty.");
  }
  let end = 0;
  for (const { start, length, type } of targets) {
    const line = `The ${type} target at sector ${start}`;
    if (length === 0) {
      throw new Problem("invalid", `${line} has no length.`);
    }
    if (start !== end) {
      const wrong =
        start > end ? `leaves a gap from sector ${end} on` : `overlaps the one before, which ends at ${end}`;
      throw new Problem("invalid", `${line} ${wrong}.`);
    }
    end = start + length;
    // sector_t has 64 bits, sizes in bytes are signed: what is more than a number can say is more than a device can be.
    if (!Number.isSafeInteger(end) || !Number.isSafeInteger(bytesIn(sectors(end)))) {
      throw new Problem("invalid", `${line} is longer than a device can be.`);
    }
  }
}

async function checkTypes(control: DmControl, targets: readonly DmTarget[]): Promise<void> {
  for (const type of new Set(targets.map((target) => target.type))) {
    try {
      await control.targetVersion(type);
    } catch (error) {
      if (isErrno(error, "EINVAL")) {
        throw Problem.of("invalid", `This kernel knows no ${type} target. Its module may be missing.`, error);
      }
      // Before Linux 5.5 there's no asking without loading: then the load says it.
      if (!isErrno(error, "ENOTTY")) {
        throw error;
      }
    }
  }
}

/** "7:0" for a device, whichever way it is written. @throws Problem notFound, invalid */
function resolveDevice(device: string): Devnum {
  if (/^\d+:\d+$/.test(device)) {
    const number = parseDevnum(device);
    if (devnumOf(`/sys/dev/block/${number}`) === undefined) {
      throw new Problem("notFound", `The table names the device ${device}, which doesn't exist.`);
    }
    return number;
  }
  if (!device.startsWith("/")) {
    // Not named, as it may be a key that has got into the wrong place.
    throw new Problem(
      "invalid",
      "The table has no device where there must be one: write a path, or a number like 7:0.",
    );
  }
  const stat = withErrno("stat", device, () => statSync(device, { bigint: true, throwIfNoEntry: false }));
  if (!stat) {
    throw new Problem("notFound", `The table names the device ${device}, which doesn't exist.`);
  }
  if (!stat.isBlockDevice()) {
    throw new Problem(
      "invalid",
      `The table names ${device}, which is no block device. Attach it as a loop device first.`,
    );
  }
  return devnum(stat.rdev);
}

function checkDevices(target: AnyTarget, readOnly: boolean, ofDevice: Devnum | undefined): void {
  for (const device of devicesOf(target).map(parseDevnum)) {
    // The kernel doesn't look further than the first step: I/O would go round for ever.
    if (ofDevice !== undefined && (device === ofDevice || standsOn(device, ofDevice))) {
      throw new Problem("invalid", `The table names ${device}, which is the device itself or stands on it.`);
    }
  }
  for (const { device, start, length, onlyRead } of extentsOf(target)) {
    // Newer kernels take it, and let every write fail.
    if (!readOnly && !onlyRead && readNumber(`/sys/dev/block/${device}/ro`) === 1) {
      throw readOnlyBelow(device);
    }
    const size = sizeOf(parseDevnum(device));
    if (size !== undefined && start + length > size) {
      const needs = `sectors ${start} to ${start + length}`;
      throw new Problem(
        "invalid",
        `The ${target.type} target at sector ${target.start} needs ${needs} of ${device}, which has ${size}.`,
      );
    }
  }
}

function readOnlyBelow(device: string): Problem {
  const advice = "Make the mapper device read-only, too.";
  return new Problem("notPermitted", `The table names ${device}, which is read-only. ${advice}`);
}

function standsOn(device: Devnum, other: Devnum): boolean {
  const folder = `/sys/dev/block/${device}/slaves`;
  return list(folder).some((name) => {
    const below = devnumOf(`${folder}/${name}`);
    return below !== undefined && (below === other || standsOn(below, other));
  });
}

function sizeOf(device: Devnum): Sectors | undefined {
  // In units of 512 bytes whatever the device's own sectors are.
  const size = readNumber(`/sys/dev/block/${device}/size`);
  return size === undefined ? undefined : sectors(size);
}
