/*
 * Attaching an image: a transaction. The device is bound with autoclear while we hold it open, and autoclear is dropped
 * last of all. Whatever ends the helper before that, SIGKILL included, the kernel then detaches the device.
 */
import { type Caller, type OpenedImage, openImage } from "../caller";
import { probeSectorSize } from "../content/probe";
import { deviceSize, sectorSize as sectorSizeOf } from "../linux/block";
import { devnum } from "../linux/devnum";
import { isErrno } from "../linux/errno";
import { O_RDONLY, O_RDWR, type OpenFile, openDevice } from "../linux/file";
import {
  addDevice,
  clearFd,
  getFree,
  getStatus,
  LO_FLAGS_AUTOCLEAR,
  LO_FLAGS_DIRECT_IO,
  LO_FLAGS_PARTSCAN,
  LO_FLAGS_READ_ONLY,
} from "../linux/loop";
import { nameOf } from "../linux/sysfs";
import { recordOwner } from "../owners";
import { announcePartitions } from "../partition/announce";
import { forgetPartitions } from "../partition/forget";
import { pauseRandomly } from "../pause";
import { Problem } from "../problem";
import type { CheckedParams } from "../protocol";
import type { Work } from "../work";
import { bind, type Setup } from "./configure";
import { withControl } from "./control";
import { attachmentOf, diskOf, numberOf, openLoop } from "./device";
import { hold } from "./held";
import { copyToMemory } from "./memory";
import { type Extent, findOverlapping, findSame, overlapProblem } from "./overlap";
import { changeSettings, withFlag } from "./settings";
import { isBound } from "./state";

/** Others take devices as well, and losetup takes no lock. */
const TRIES = 64;
/** The longest pause after a lost race, in milliseconds; it grows up to this. */
const LONGEST_PAUSE = 100;

export interface Attached<T> {
  device: T;
  shared: boolean;
  unreachableTail: number;
}

/**
 * Attaches an image for the caller.
 *
 * @param describe makes the answer, while the device can't go away yet
 * @throws Problem for every wish that can't be met; nothing is attached then
 */
export async function attach<T>(
  wish: CheckedParams<"loop/attach">,
  caller: Caller,
  work: Work,
  describe: (disk: string) => Promise<T>,
): Promise<Attached<T>> {
  using opened = openedImage(caller, wish);
  const { file, stat } = opened.image;
  const block = stat.isBlockDevice();
  const size = Number(block ? deviceSize(file) : stat.size);
  if (block && wish.offset === 0 && wish.sizeLimit === 0 && !wish.inMemory) {
    return await useAsItIs(wish, nameOf(devnum(stat.rdev)), describe);
  }
  checkExtent(wish, size);

  using image = wish.inMemory ? await copyToMemory(file, wish.path, size, work) : undefined;
  const blockSize = await chooseSectorSize(wish, file, block);
  const readOnly = opened.image.readOnly;
  const setup: Setup = {
    file: image ?? file,
    blockSize,
    directIo: wish.directIo,
    settings: {
      offset: BigInt(wish.offset),
      sizeLimit: BigInt(wish.sizeLimit),
      flags:
        LO_FLAGS_AUTOCLEAR |
        (readOnly ? LO_FLAGS_READ_ONLY : 0) |
        (wish.partitionScan ? LO_FLAGS_PARTSCAN : 0) |
        (wish.directIo !== false && !image ? LO_FLAGS_DIRECT_IO : 0),
      reference: wish.reference,
    },
  };
  const extent: Extent = {
    inode: stat.ino,
    device: block ? stat.rdev : stat.dev,
    offset: wish.offset,
    sizeLimit: wish.sizeLimit,
    imageSize: size,
  };

  const taken = await take(wish, readOnly, setup, extent, work.signal);
  if ("same" in taken) {
    return { device: await describe(taken.same), shared: true, unreachableTail: 0 };
  }
  return await finish(taken, wish, caller, setup, size, work.signal, describe);
}

interface Taken {
  disk: string;
  loop: OpenFile;
  /** Keeps udev and systemd off the device until it is as it should be. */
  lock: OpenFile;
}

async function take(
  wish: CheckedParams<"loop/attach">,
  readOnly: boolean,
  setup: Setup,
  extent: Extent,
  signal: AbortSignal,
): Promise<Taken | { same: string }> {
  for (let attempt = 1; attempt <= TRIES; attempt++) {
    const taken = await withControl(signal, async (control) => {
      if (wish.overlap !== "allow" && !wish.inMemory) {
        const overlapping = await findOverlapping(extent);
        const same = wish.overlap === "share" ? findSame(overlapping, { ...wish, readOnly }) : undefined;
        if (same) {
          return { same: diskOf(same.number) };
        }
        if (overlapping.length > 0) {
          throw overlapProblem(wish.path, overlapping);
        }
      }
      return takeOne(await numberFor(wish.device, control), readOnly, setup, signal);
    });
    if (taken) {
      return taken;
    }
    await pauseRandomly((LONGEST_PAUSE * attempt) / TRIES, signal);
  }
  throw new Problem("busy", `No free loop device could be got in ${TRIES} tries: other programs take them first.`, {
    users: [],
  });
}

async function numberFor(device: string | undefined, control: OpenFile): Promise<number> {
  if (device === undefined) {
    return getFree(control);
  }
  const number = numberOf(device);
  try {
    await addDevice(control, number);
  } catch (error) {
    if (!isErrno(error, "EEXIST")) {
      throw error;
    }
  }
  if (isBound(diskOf(number))) {
    throw new Problem("busy", `${device} is attached to another image. Leave the choice to Diskloom, or detach it.`, {
      device,
      users: [],
    });
  }
  return number;
}

/** Binds the device of this number; `undefined` where somebody else was quicker or it has to be another one. */
async function takeOne(
  number: number,
  readOnly: boolean,
  setup: Setup,
  signal: AbortSignal,
): Promise<Taken | undefined> {
  const disk = diskOf(number);
  const open: OpenFile[] = [];
  try {
    const loop = await openLoop(number, readOnly ? O_RDONLY : O_RDWR);
    open.push(loop);
    const lock = await openDevice(loop.path, O_RDONLY);
    open.push(lock);
    if (!lock.tryLock() || isBoundNow(loop) || (await forgetPartitions(loop, disk)) > 0) {
      return undefined;
    }
    if (!(await bind(disk, loop, setup, signal))) {
      return undefined;
    }
    open.length = 0;
    return { disk, loop, lock };
  } catch (error) {
    if (
      isErrno(error, "EBUSY", "ENODEV", "ENXIO", "EUCLEAN") ||
      (error instanceof Problem && error.data.reason === "stale")
    ) {
      return undefined;
    }
    throw error;
  } finally {
    await Promise.all(open.map((file) => file[Symbol.asyncDispose]()));
  }
}

function isBoundNow(loop: OpenFile): boolean {
  try {
    getStatus(loop);
    return true;
  } catch (error) {
    if (isErrno(error, "ENXIO")) {
      return false;
    }
    throw error;
  }
}

async function finish<T>(
  { disk, loop, lock }: Taken,
  wish: CheckedParams<"loop/attach">,
  caller: Caller,
  setup: Setup,
  size: number,
  signal: AbortSignal,
  describe: (disk: string) => Promise<T>,
): Promise<Attached<T>> {
  let keepOpen = false;
  try {
    const reachable = Number(deviceSize(loop));
    if (wish.partitionScan) {
      await announcePartitions(loop, disk);
    }
    recordOwner(attachmentOf(loop.path, { loop, info: getStatus(loop) }), caller);
    if (!wish.autoclear) {
      await changeSettings(loop, withFlag(getStatus(loop), LO_FLAGS_AUTOCLEAR, false), setup.file, signal);
    }
    const device = await describe(disk);
    keepOpen = wish.autoclear;
    return { device, shared: false, unreachableTail: (wish.sizeLimit || size - wish.offset) - reachable };
  } catch (error) {
    // Closing then undoes it all. Where even that fails, the device is no longer ours to undo.
    await clearFd(loop).catch(() => {});
    throw error;
  } finally {
    // The lock first: closing a device that was open for writing makes udev look at it, and it must find it unlocked.
    await lock[Symbol.asyncDispose]();
    if (keepOpen) {
      hold(disk, loop);
    } else {
      await loop[Symbol.asyncDispose]();
    }
  }
}

function openedImage(caller: Caller, wish: CheckedParams<"loop/attach">): Disposable & { image: OpenedImage } {
  // A copy in memory may be written to whatever the caller may do to the image itself.
  const image = openImage(caller, wish.path, wish.inMemory ? true : wish.readOnly);
  return {
    image: wish.inMemory ? { ...image, readOnly: wish.readOnly === true } : image,
    [Symbol.dispose]: () => image.file[Symbol.dispose](),
  };
}

function checkExtent({ path, offset, sizeLimit }: CheckedParams<"loop/attach">, size: number): void {
  const refuse = (message: string) => {
    throw new Problem("invalid", message);
  };
  if (size === 0) {
    refuse(`${path} is empty, so there is nothing to attach. Give it a size first, for example with "truncate -s 1G".`);
  }
  if (offset >= size) {
    refuse(`The offset of ${offset} bytes is beyond the end of ${path}, which has ${size} bytes.`);
  }
  if (sizeLimit % 512 !== 0) {
    refuse(`The size limit of ${sizeLimit} bytes isn't a multiple of 512.`);
  }
  if (sizeLimit > size - offset) {
    refuse(`The size limit of ${sizeLimit} bytes reaches beyond the end of ${path}, which has ${size} bytes.`);
  }
  if (size - offset < 512) {
    refuse(`${path} has less than one sector of 512 bytes from there on, so there is nothing to attach.`);
  }
}

async function chooseSectorSize(
  { sectorSize, offset }: CheckedParams<"loop/attach">,
  file: OpenFile,
  block: boolean,
): Promise<number> {
  if (sectorSize !== "probe") {
    return sectorSize;
  }
  return block ? sectorSizeOf(file) : probeSectorSize(file, offset);
}

async function useAsItIs<T>(
  wish: CheckedParams<"loop/attach">,
  disk: string | undefined,
  describe: (disk: string) => Promise<T>,
): Promise<Attached<T>> {
  if (disk === undefined) {
    throw new Problem("notFound", `The kernel has no device for ${wish.path} any more.`);
  }
  return { device: await describe(disk), shared: true, unreachableTail: 0 };
}
