/* What the kernel says of a bound loop device: by ioctls where we may open it, else by what /sys shows everybody. */
import type { BigIntStats } from "node:fs";
import { deviceSize, diskSequence, isReadOnly, sectorSize } from "../linux/block";
import { type Devnum, devnum } from "../linux/devnum";
import { isErrno, KernelError } from "../linux/errno";
import { O_PATH, O_RDONLY, type OpenFile, openAnything, openDevice } from "../linux/file";
import { LO_FLAGS_AUTOCLEAR, LO_FLAGS_DIRECT_IO, LO_FLAGS_PARTSCAN, type LoopInfo, statusIfTold } from "../linux/loop";
import { devnumOf, diskFolder, isThere, list, openVirtualDisks, readBytes, readNumber } from "../linux/sysfs";
import type { LoopDevice } from "../protocol";

/** A loop device without what is on it and around it. */
export type LoopState = Omit<LoopDevice, "content" | "partitions" | "mounts" | "holders"> & { devnum: Devnum };

/** Those of the kernel's names that are of loop devices, bound or not, by number. */
export function loopDisks(names = list("/sys/block")): string[] {
  return names.filter((name) => /^loop\d+$/.test(name)).sort((a, b) => numberIn(a) - numberIn(b));
}

/**
 * The image of a device as /sys shows it; `undefined` where it isn't bound. Empty where its path has become longer than
 * the kernel can say, as whoever owns a folder above it can make it.
 */
export function imageShown(disk: string): Buffer | undefined {
  try {
    return readBytes(`${diskFolder(disk)}/loop/backing_file`);
  } catch (error) {
    if (isErrno(error, "ENAMETOOLONG")) {
      return Buffer.alloc(0);
    }
    throw error;
  }
}

/** Whether the kernel shows a device as bound: its folder for what the loop driver says comes and goes with the image. */
export function isBound(disk: string): boolean {
  return isThere(`${diskFolder(disk)}/loop`);
}

/** The kernel's names of the bound ones among these. */
export function boundDisks(disks = loopDisks()): string[] {
  // Without any loop device there may be no such folder.
  if (disks.length === 0) {
    return [];
  }
  using folder = openVirtualDisks();
  return disks.filter((disk) => isBoundIn(folder, disk));
}

/** As `isBound`, for many. @param folder that of all virtual disks */
export function isBoundIn(folder: OpenFile, disk: string): boolean {
  return isThere(`${disk}/loop`, folder);
}

/** The images of all bound devices, as /sys shows them, by the devices' kernel names in the order of their numbers. */
export function boundImages(disks = boundDisks()): ReadonlyMap<string, Buffer> {
  const images = new Map<string, Buffer>();
  for (const disk of disks) {
    const shown = imageShown(disk);
    if (shown) {
      images.set(disk, shown);
    }
  }
  return images;
}

/** Opens a device to look at it; `undefined` where we may not. @throws KernelError ENXIO where it is just going */
export async function openIfAllowed(disk: string): Promise<OpenFile | undefined> {
  try {
    return await openDevice(`/dev/${disk}`, O_RDONLY);
  } catch (error) {
    if (isErrno(error, "EACCES", "EPERM", "ENOENT")) {
      return undefined;
    }
    throw error;
  }
}

/** What stands at the path of an image; not to be read, as it could be anything. */
export interface FoundImage extends Disposable {
  file: OpenFile;
  stat: BigIntStats;
}

/**
 * What stands at the path that /sys shows of an image; `undefined` where that is beyond our rights, or not a path from
 * here at all (another mount namespace). Not on our own thread: the image may be on a server that has stopped answering.
 */
export async function findImage(shown: Buffer): Promise<FoundImage | undefined> {
  let file: OpenFile | undefined;
  try {
    file = await openAnything(shown, O_PATH);
    const found = file;
    return { file, stat: await file.statPatiently(), [Symbol.dispose]: () => found[Symbol.dispose]() };
  } catch (error) {
    file?.[Symbol.dispose]();
    if (error instanceof KernelError) {
      return undefined;
    }
    throw error;
  }
}

/**
 * The state of a device: by ioctls, or where it couldn't be opened by what /sys shows everybody.
 *
 * @param shown as read while it was open
 * @param found what stands at that path now
 * @throws KernelError ENXIO where the device isn't bound
 */
export function stateOf(
  disk: string,
  loop: OpenFile | undefined,
  shown: Buffer,
  found: BigIntStats | undefined,
): LoopState | undefined {
  return loop ? stateByIoctl(disk, loop, shown, found) : stateFromSysfs(disk, shown, found);
}

function stateByIoctl(
  disk: string,
  loop: OpenFile,
  shown: Buffer,
  found: BigIntStats | undefined,
): LoopState | undefined {
  const info = statusIfTold(loop);
  if (!info) {
    return stateFromSysfs(disk, shown, found);
  }
  // A node of this name may stand for another loop device.
  if (info.number !== numberIn(disk)) {
    return undefined;
  }
  return {
    ...identity(disk, loop.devnum()),
    diskSequence: diskSequence(loop),
    size: Number(deviceSize(loop)),
    sectorSize: sectorSize(loop),
    readOnly: isReadOnly(loop),
    ...imageOf(shown, found, info),
    offset: Number(info.offset),
    sizeLimit: Number(info.sizeLimit),
    autoclear: (info.flags & LO_FLAGS_AUTOCLEAR) !== 0,
    partitionScan: (info.flags & LO_FLAGS_PARTSCAN) !== 0,
    directIo: (info.flags & LO_FLAGS_DIRECT_IO) !== 0,
    reference: info.reference,
  };
}

function stateFromSysfs(disk: string, shown: Buffer, found: BigIntStats | undefined): LoopState | undefined {
  const folder = diskFolder(disk);
  const number = devnumOf(folder);
  if (number === undefined) {
    return undefined;
  }
  const value = (name: string) => readNumber(`${folder}/${name}`) ?? 0;
  return {
    ...identity(disk, number),
    diskSequence: readNumber(`${folder}/diskseq`) ?? null,
    size: value("size") * 512,
    sectorSize: value("queue/logical_block_size"),
    readOnly: value("ro") === 1,
    ...imageOf(shown, found),
    offset: value("loop/offset"),
    sizeLimit: value("loop/sizelimit"),
    autoclear: value("loop/autoclear") === 1,
    partitionScan: value("loop/partscan") === 1,
    directIo: value("loop/dio") === 1,
    reference: "",
  };
}

function identity(disk: string, number: Devnum) {
  return { kind: "loop" as const, device: `/dev/${disk}`, number: numberIn(disk), devnum: number };
}

function numberIn(disk: string): number {
  return Number(disk.slice("loop".length));
}

// What the kernel's d_path() puts behind the path of a file that has none any more.
const DELETED = Buffer.from(" (deleted)");
const MEMFD = Buffer.from("/memfd:");

/** Whether an image has no path any more, or one that looks like it. */
export function isMarkedDeleted(shown: Buffer): boolean {
  return shown.subarray(-DELETED.length).equals(DELETED);
}

/**
 * The image under a device. /sys shows the path that the file has now, with a mark where it has none, which could just
 * as well be the end of its name: only the inode tells.
 */
function imageOf(
  shown: Buffer,
  found: BigIntStats | undefined,
  info?: LoopInfo,
): Pick<LoopState, "backingFile" | "backingInode" | "backingDevnum" | "backingFileDeleted"> {
  const inode = info?.inode ?? found?.ino ?? 0n;
  const device = info ? devnum(info.device) : found ? devnum(found.dev) : "";
  const marked = isMarkedDeleted(shown);
  const there = found !== undefined && (!info || isSameFile(found, info));
  const path = marked && !there ? shown.subarray(0, -DELETED.length) : shown;
  const inMemory = marked && !there && shown.subarray(0, MEMFD.length).equals(MEMFD);
  return {
    backingFile: path.toString("utf8"),
    backingInode: Number(inode),
    backingDevnum: device,
    // Without the inode to compare (no privilege), a file that we just can't see isn't called deleted; nor one whose path
    // we aren't told.
    backingFileDeleted: !inMemory && shown.length > 0 && (info ? !there : marked && !there),
  };
}

/** Whether a file is a device's image, whatever its path was. */
export function isSameFile(
  file: Pick<BigIntStats, "dev" | "ino">,
  { inode, device }: Pick<LoopInfo, "inode" | "device">,
): boolean {
  return file.ino === inode && file.dev === device;
}
