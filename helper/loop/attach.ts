/*
 * Attaching an image: a transaction. The device is bound with autoclear while we hold it open, and autoclear is dropped
 * last of all. Whatever ends the helper before that, SIGKILL included, the kernel then detaches the device.
 */
import { type Caller, type OpenedImage, openImage } from "../caller";
import { probeSectorSize } from "../content/probe";
import { deviceSize, sectorSize as sectorSizeOf } from "../linux/block";
import { isErrno } from "../linux/errno";
import { O_DIRECT, O_RDONLY, type OpenFile, openFile } from "../linux/file";
import {
  clearFd,
  getStatus,
  LO_FLAGS_AUTOCLEAR,
  LO_FLAGS_DIRECT_IO,
  LO_FLAGS_PARTSCAN,
  LO_FLAGS_READ_ONLY,
} from "../linux/loop";
import { recordOwner } from "../owners";
import { announcePartitions } from "../partition/announce";
import { throwIfCancelled } from "../pause";
import { Problem } from "../problem";
import type { CheckedParams, LoopDevice } from "../protocol";
import type { Work } from "../work";
import { noDirectIo, type Setup } from "./configure";
import { attachmentOf } from "./device";
import { hold } from "./held";
import { refuseInUse } from "./inUse";
import { copyToMemory } from "./memory";
import type { Extent, Overlap } from "./overlap";
import { changeSettings, underneath, withFlag } from "./settings";
import { type Taken, take } from "./take";
import { describeAsItIs, servesAsItIs } from "./whole";

export interface Attached {
  device: LoopDevice;
  shared: boolean;
  unreachableTail: number;
}

type Wish = CheckedParams<"loop/attach">;
type Describe = (disk: string) => Promise<LoopDevice>;

/**
 * Attaches an image for the caller.
 *
 * @param describe makes the answer, while the device can't go away yet
 * @throws Problem for every wish that can't be met; nothing is attached then
 */
export async function attach(wish: Wish, caller: Caller, work: Work, describe: Describe): Promise<Attached> {
  using opened = openedImage(caller, wish);
  const { file, stat } = opened.image;
  await refuseInUse(wish.path, opened.image, work.signal);
  const block = stat.isBlockDevice();
  const size = Number(block ? deviceSize(file) : stat.size);
  if (block && servesAsItIs(wish, file)) {
    return { device: await describeAsItIs(file, describe), shared: true, unreachableTail: 0 };
  }
  checkExtent(wish, size);

  using image = wish.inMemory ? await copyToMemory(file, wish.path, size, work) : undefined;
  const readOnly = opened.image.readOnly;
  const setup: Setup = {
    file: image ?? file,
    blockSize: await chooseSectorSize(wish, file, block),
    readOnly: wish.readOnly,
    directIo: wish.directIo,
    settings: {
      offset: BigInt(wish.offset),
      sizeLimit: BigInt(wish.sizeLimit),
      flags:
        LO_FLAGS_AUTOCLEAR |
        (readOnly ? LO_FLAGS_READ_ONLY : 0) |
        (wish.partitionScan ? LO_FLAGS_PARTSCAN : 0) |
        (wantsDirectIo(wish, file) ? LO_FLAGS_DIRECT_IO : 0),
      reference: wish.reference,
    },
  };
  const extent: Extent = { image: stat, offset: wish.offset, sizeLimit: wish.sizeLimit, imageSize: size };

  const taken = await take(wish, readOnly, setup, extent, work.signal);
  return "same" in taken
    ? await share(taken.same, describe)
    : await finish(taken, wish, caller, setup, size, work.signal, describe);
}

async function share({ disk, loop, autoclear }: Overlap, describe: Describe): Promise<Attached> {
  let keepOpen = false;
  try {
    const device = await describe(disk);
    // It goes with its last user: until the new one has opened it, that is us.
    keepOpen = autoclear;
    return { device, shared: true, unreachableTail: 0 };
  } finally {
    await (keepOpen ? hold(disk, loop) : loop[Symbol.asyncDispose]());
  }
}

async function finish(
  { disk, loop, lock }: Taken,
  wish: Wish,
  caller: Caller,
  setup: Setup,
  size: number,
  signal: AbortSignal,
  describe: Describe,
): Promise<Attached> {
  let keepOpen = false;
  try {
    const reachable = Number(deviceSize(loop));
    if (wish.partitionScan) {
      await announcePartitions(loop, disk);
    }
    recordOwner(attachmentOf(loop.path, { loop, info: getStatus(loop) }), caller);
    throwIfCancelled(signal);
    if (!wish.autoclear) {
      const permanent = withFlag(getStatus(loop), LO_FLAGS_AUTOCLEAR, false);
      await changeSettings(loop, permanent, underneath(setup.file), signal);
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
    await (keepOpen ? hold(disk, loop) : loop[Symbol.asyncDispose]());
  }
}

function openedImage(caller: Caller, wish: Wish): Disposable & { image: OpenedImage } {
  // A copy in memory may be written to whatever the caller may do to the image itself.
  const image = openImage(caller, wish.path, wish.inMemory ? true : wish.readOnly);
  return {
    image: wish.inMemory ? { ...image, readOnly: wish.readOnly === true } : image,
    [Symbol.dispose]: () => image.file[Symbol.dispose](),
  };
}

function checkExtent({ path, offset, sizeLimit }: Wish, size: number): void {
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

async function chooseSectorSize({ sectorSize, offset }: Wish, file: OpenFile, block: boolean): Promise<number> {
  if (sectorSize !== "probe") {
    return sectorSize;
  }
  return block ? sectorSizeOf(file) : probeSectorSize(file, offset);
}

// Not every file system can: those refuse to open a file for it.
function wantsDirectIo(wish: Wish, file: OpenFile): boolean {
  if (wish.directIo === false || (wish.inMemory && wish.directIo === "auto")) {
    return false;
  }
  if (wish.inMemory) {
    throw noDirectIo(wish.path);
  }
  try {
    using _direct = openFile(`/proc/self/fd/${file.fd}`, O_RDONLY | O_DIRECT);
    return true;
  } catch (error) {
    if (!isErrno(error, "EINVAL")) {
      throw error;
    }
    if (wish.directIo === true) {
      throw noDirectIo(wish.path);
    }
    return false;
  }
}
