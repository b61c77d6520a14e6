/* Whether an image is attached already, wholly or in part. */
import type { BigIntStats } from "node:fs";
import { stat } from "node:fs/promises";
import { isLocal } from "../content/hole";
import { isReadOnly } from "../linux/block";
import { isErrno, KernelError } from "../linux/errno";
import { findIfCached, O_RDONLY, type OpenFile, openDevice } from "../linux/file";
import { getStatus, isUntold, LO_FLAGS_AUTOCLEAR, type LoopInfo, statusIfBound } from "../linux/loop";
import { knownIdentity } from "../linux/statx";
import { devnumOf, diskFolder, KeptNumbers, openVirtualDisks, readNumber } from "../linux/sysfs";
import { Problem } from "../problem";
import { numberOf, openLoop } from "./device";
import { imageShown, isBoundIn, isSameFile, loopDisks } from "./state";

/** The unit of `size` in /sys, whatever the device's own sectors are. */
const SECTOR = 512;

/** The part of an image that is wanted: which file, and from where to where in bytes. */
export interface Extent {
  /** What stat(2) says of the image. */
  image: Pick<BigIntStats, "dev" | "ino" | "rdev" | "isBlockDevice">;
  offset: number;
  sizeLimit: number;
  /** The end of the image, for parts that have no limit. */
  imageSize: number;
}

/** A bound device that shows a part of the image. */
export interface Overlap {
  disk: string;
  /** Open, so that it can't be detached while it is looked at. */
  loop: OpenFile;
  offset: number;
  sizeLimit: number;
  readOnly: boolean;
  autoclear: boolean;
  /** Somebody is setting it up or taking it down right now: what it is can't be told yet. */
  unsettled: boolean;
}

/**
 * The bound devices that show a part of the same image; the caller closes them. The caller holds the lock on the
 * control device, so that two who look at once don't both find nothing, and nobody's detach is disturbed by our having
 * the device open.
 */
export async function findOverlapping(extent: Extent): Promise<Overlap[]> {
  const suspects = findSuspects(extent);
  const found = await Promise.allSettled(
    suspects.map(async (suspect) =>
      (await mayOverlap(suspect, extent)) ? await lookAt(suspect.disk, suspect.shown, extent) : undefined,
    ),
  );
  const overlaps = found.flatMap((result) => (result.status === "fulfilled" && result.value ? [result.value] : []));
  const failed = found.find((result) => result.status === "rejected");
  if (failed) {
    await Promise.all(overlaps.map(({ loop }) => loop[Symbol.asyncDispose]()));
    throw failed.reason;
  }
  return overlaps;
}

interface Seen {
  sequence: number;
  dev: bigint;
  ino: bigint;
  /** Whether the device itself says so, and not only the path of its image. */
  isCertain: boolean;
}

/** The image of a device, for as long as its sequence number is this one: it can't be given another without a new one. */
const seen = new Map<string, Seen>();
/** Since Linux 5.15. Few have more devices at once, and each file that is open takes a page of the kernel's memory. */
const sequences = new KeptNumbers("diskseq", 256);

/**
 * Remembers what we have bound ourselves, so that it need not be looked for.
 * @param sequence as read before the status
 * @param image one that stays the same file: on overlayfs, one that was opened for reading needn't
 */
export function noteImage(disk: string, sequence: number | null, info: LoopInfo, image: OpenFile): void {
  const file = image.identity();
  // A block device is the same by whatever node it was opened: its node's inode tells nothing.
  if (sequence !== null && file.isFile() && isSameFile(file, info)) {
    seen.set(disk, { sequence, dev: file.dev, ino: file.ino, isCertain: true });
  }
}

/** A bound device whose image isn't known to be another one. */
interface Suspect {
  disk: string;
  shown: Buffer;
  sequence: number | undefined;
  /** It is known to be the one that is looked for, whatever stands at its path by now. */
  isKnown: boolean;
}

function findSuspects(extent: Extent): Suspect[] {
  const disks = loopDisks();
  if (disks.length === 0) {
    return [];
  }
  using folder = openVirtualDisks();
  return disks.flatMap((disk) => suspectIn(folder, disk, extent) ?? []);
}

function suspectIn(folder: OpenFile, disk: string, { image }: Extent): Suspect | undefined {
  const before = seen.get(disk);
  const wasOurs = before !== undefined && isFile(before, image);
  const wasOther = before !== undefined && !wasOurs && (before.isCertain || before.dev === image.dev);
  if (wasOther && before.sequence === sequences.read(disk, folder)) {
    return undefined;
  }
  if (!isBoundIn(folder, disk)) {
    seen.delete(disk);
    return undefined;
  }
  // Before anything else is looked at that it is to stand for.
  const sequence = sequences.read(disk, folder);
  const shown = imageShown(disk);
  return shown && { disk, shown, sequence, isKnown: wasOurs && before.sequence === sequence };
}

// By what can be told without opening the device: that would wait for whoever is just detaching it, for 100 ms and more
// with the control device locked. A file at the path that /sys shows, not ours and of the device's size, is taken for
// its image. Where something has been mounted over the image since, that is another file: but then it isn't on the file
// system of ours. It is another on the same only where a program in another mount namespace has attached one.
async function mayOverlap({ disk, shown, sequence, isKnown }: Suspect, extent: Extent): Promise<boolean> {
  const folder = diskFolder(disk);
  const offset = readNumber(`${folder}/loop/offset`) ?? 0;
  const sizeLimit = readNumber(`${folder}/loop/sizelimit`) ?? 0;
  if (!meets({ offset, sizeLimit }, extent)) {
    return false;
  }
  if (isKnown) {
    return true;
  }
  const file = await fileAt(shown);
  if (!file || isFile(file, extent.image)) {
    return true;
  }
  const length = file.size - offset;
  const expected = Math.floor((sizeLimit > 0 ? Math.min(sizeLimit, length) : length) / SECTOR);
  if (readNumber(`${folder}/size`) !== expected) {
    return true;
  }
  const isElsewhere = file.dev !== extent.image.dev;
  const isWritable = readNumber(`${folder}/ro`) === 0;
  const info = isElsewhere || !isWritable ? await statusOf(disk) : undefined;
  if (isElsewhere && info && !isSameFile(file, info)) {
    return true;
  }
  if (sequence !== undefined && (isWritable || (info && isLasting(shown, file, info)))) {
    seen.set(disk, { sequence, dev: file.dev, ino: file.ino, isCertain: info !== undefined });
  }
  return false;
}

/** What a device itself says; `undefined` where it has no node here, or doesn't tell. */
async function statusOf(disk: string): Promise<LoopInfo | undefined> {
  try {
    await using loop = await openByOwnNode(disk);
    return loop && statusIfBound(loop);
  } catch (error) {
    if (error instanceof KernelError) {
      return undefined;
    }
    throw error;
  }
}

/**
 * Whether a read-only device has this image for as long as its sequence number is the same. LOOP_CHANGE_FD counts some
 * 10 ms before it gives it another: the status waits for that. And on overlayfs a file that is opened for writing, by
 * whomever, becomes another one.
 */
function isLasting(shown: Buffer, file: Pick<BigIntStats, "dev" | "ino">, info: LoopInfo): boolean {
  using image = findIfCached(shown);
  return image !== undefined && isLocal(image) && isSameFile(file, info) && isSameFile(image.identity(), info);
}

/** The regular file at a path; bytes. On another thread where a disk or a server may have to be asked. */
async function fileAt(path: Buffer): Promise<{ dev: bigint; ino: bigint; size: number } | undefined> {
  using cached = findIfCached(path);
  if (cached) {
    return knownIdentity(cached);
  }
  const file = await stat(path, { bigint: true }).catch(() => undefined);
  return file?.isFile() ? { dev: file.dev, ino: file.ino, size: Number(file.size) } : undefined;
}

function isFile(one: Pick<BigIntStats, "dev" | "ino">, other: Pick<BigIntStats, "dev" | "ino">): boolean {
  return one.dev === other.dev && one.ino === other.ino;
}

function meets(one: { offset: number; sizeLimit: number }, extent: Extent): boolean {
  const end = (offset: number, limit: number) => (limit === 0 ? extent.imageSize : offset + limit);
  return one.offset < end(extent.offset, extent.sizeLimit) && extent.offset < end(one.offset, one.sizeLimit);
}

async function lookAt(disk: string, shown: Buffer, extent: Extent): Promise<Overlap | undefined> {
  let loop: OpenFile | undefined;
  try {
    loop = await openByOwnNode(disk);
    if (!loop) {
      if (!(await isAt(shown, extent.image))) {
        return undefined;
      }
      loop = await openLoop(numberOf(`/dev/${disk}`), O_RDONLY);
    }
    const info = getStatus(loop);
    const [offset, sizeLimit] = [Number(info.offset), Number(info.sizeLimit)];
    if (shows(info, extent.image) && meets({ offset, sizeLimit }, extent)) {
      const overlap: Overlap = {
        disk,
        loop,
        offset,
        sizeLimit,
        readOnly: isReadOnly(loop),
        autoclear: (info.flags & LO_FLAGS_AUTOCLEAR) !== 0,
        unsettled: !loop.tryLock(),
      };
      loop.unlock();
      loop = undefined;
      return overlap;
    }
  } catch (error) {
    // Just gone, or on its way out.
    const isGone =
      isErrno(error, "ENXIO", "ENODEV", "ENOENT") || (error instanceof Problem && error.data.reason === "notFound");
    // What can't be told of can't be this image, which we have open, unless it is seen to be.
    if (!isGone && (!isUntold(error) || (await isAt(shown, extent.image)))) {
      throw error;
    }
  } finally {
    await loop?.[Symbol.asyncDispose]();
  }
  return undefined;
}

// A node that is missing is made, or one that is wrong complained of, only for a device that has our image by all that
// /sys shows: a container lacks the nodes of the host's devices, and may not open those anyway.
async function openByOwnNode(disk: string): Promise<OpenFile | undefined> {
  try {
    const loop = await openDevice(`/dev/${disk}`, O_RDONLY);
    if (loop.devnum() === devnumOf(diskFolder(disk))) {
      return loop;
    }
    await loop[Symbol.asyncDispose]();
  } catch (error) {
    if (!isErrno(error, "ENOENT")) {
      throw error;
    }
  }
  return undefined;
}

/** Whether it is this image that stands at a path. */
async function isAt(path: Buffer, image: Extent["image"]): Promise<boolean> {
  const file = await stat(path, { bigint: true }).catch(() => undefined);
  return file !== undefined && isSameImage(file, image);
}

function isSameImage(file: BigIntStats, image: Extent["image"]): boolean {
  return image.isBlockDevice()
    ? file.isBlockDevice() && file.rdev === image.rdev
    : file.dev === image.dev && file.ino === image.ino;
}

// A block device is the same by whatever node it was opened.
function shows(info: LoopInfo, image: Extent["image"]): boolean {
  return image.isBlockDevice()
    ? info.blockDevice === image.rdev
    : info.device === image.dev && info.inode === image.ino;
}

/** The device among them that is exactly what is wanted; any others would be in its way as well. */
export function findSame(
  overlapping: readonly Overlap[],
  { offset, sizeLimit, readOnly }: { offset: number; sizeLimit: number; readOnly: boolean },
): Overlap | undefined {
  const [only, ...others] = overlapping;
  return others.length === 0 && only?.offset === offset && only.sizeLimit === sizeLimit && only.readOnly === readOnly
    ? only
    : undefined;
}

export function overlapProblem(path: string, [first]: readonly Overlap[]): Problem {
  const device = first ? `/dev/${first.disk}` : "another device";
  return new Problem("overlap", `${path} is attached already as ${device}. Use that device, or detach it first.`, {
    device,
  });
}
