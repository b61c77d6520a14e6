/*
 * Attaching an image: a transaction. The device is bound with autoclear while we hold it open, and autoclear is dropped
 * last of all. Whatever ends the helper before that, SIGKILL included, the kernel then detaches the device.
 *
 * Dropping autoclear freezes the device's queue, which takes the kernel 15 ms and more. Where LOOP_CONFIGURE leaves
 * nothing to be done (atOnce.ts), it is the whole transaction: whatever ends the helper, the device is bound as it was
 * asked for, and its user's, or not at all.
 */
import { type Caller, type OpenedImage, openImage } from "../caller";
import { isAllHole, isLocal } from "../content/hole";
import { type Probed, probeSectorSize } from "../content/probe";
import { deviceSize, diskSequence, sectorSize as sectorSizeOf } from "../linux/block";
import { devnum } from "../linux/devnum";
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
import { type Attachment, expectOwner, forgetOwner, recordOwner } from "../owners";
import { announcePartitions } from "../partition/announce";
import { throwIfCancelled } from "../pause";
import { Problem } from "../problem";
import type { CheckedParams, LoopDevice } from "../protocol";
import type { Work } from "../work";
import { contentAtOnce } from "./atOnce";
import { noDirectIo, type Setup, withAutoclear } from "./configure";
import { attachmentOf } from "./device";
import { describeFresh } from "./fresh";
import { type Ending, hold, letGo } from "./held";
import { refuseInUse } from "./inUse";
import { noteLocal } from "./light";
import { copyToMemory } from "./memory";
import { type Extent, noteImage, type Overlap } from "./overlap";
import { changeSettings, underneath, withFlag } from "./settings";
import { type Taken, take, type Witness } from "./take";
import { describeAsItIs, servesAsItIs } from "./whole";

/** Of an image that says nothing else; bytes. */
const USUAL_SECTOR = 512;

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
  const { file, stat, readOnly } = opened.image;
  await refuseInUse(wish.path, opened.image, work.signal);
  const block = stat.isBlockDevice();
  const size = Number(block ? deviceSize(file) : stat.size);
  if (block && servesAsItIs(wish, file)) {
    return { device: await describeAsItIs(file, describe), shared: true, unreachableTail: 0 };
  }
  checkExtent(wish, size);

  using image = wish.inMemory ? await copyToMemory(file, wish.path, size, work) : undefined;
  const local = !block && isLocal(file);
  const blank = local && !image && isAllHole(file);
  const wished: Setup = {
    file: image ?? file,
    blank,
    blockSize: chooseSectorSize(wish, file, { block, blank }),
    readOnly: wish.readOnly,
    directIo: wish.directIo,
    settings: {
      offset: BigInt(wish.offset),
      sizeLimit: BigInt(wish.sizeLimit),
      flags:
        (wish.autoclear ? LO_FLAGS_AUTOCLEAR : 0) |
        (readOnly ? LO_FLAGS_READ_ONLY : 0) |
        (wish.partitionScan ? LO_FLAGS_PARTSCAN : 0) |
        (wantsDirectIo(wish, file) ? LO_FLAGS_DIRECT_IO : 0),
      reference: wish.reference,
    },
  };
  // As it is when it is open: opening a file on overlayfs for writing can make another of it.
  const extent: Extent = { image: file.identity(), offset: wish.offset, sizeLimit: wish.sizeLimit, imageSize: size };
  const content = wish.autoclear ? undefined : await contentAtOnce(wished, size);
  const setup = content || wish.autoclear ? wished : withAutoclear(wished);
  const expected = setup === wished;
  const witness: Witness = {
    aboutToBind: (loop) => expected && expectOwner(toBecome(loop, wished.file), caller),
    givenUp: (loop) => expected && forgetOwner(loop.path),
  };
  const taken = await take(wish, readOnly, setup, extent, witness, work.signal);
  return "same" in taken
    ? await share(taken.same, describe)
    : await finish({ ...taken, wish, caller, setup, expected, local, content, size, signal: work.signal, describe });
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

interface Finishing extends Taken {
  wish: Wish;
  caller: Caller;
  setup: Setup;
  /** Whether it is noted already whose it was to become. */
  expected: boolean;
  /** Whether the image is on a file system of this machine. */
  local: boolean;
  /** What is on it, without partitions to be made known; `undefined` where that is still to be looked at. */
  content: Probed | undefined;
  /** The image's, in bytes. */
  size: number;
  signal: AbortSignal;
  describe: Describe;
}

async function finish(taken: Finishing): Promise<Attached> {
  const { disk, loop, wish, caller, setup, expected, local, content, size, signal, describe } = taken;
  let end: Ending = "close";
  try {
    const sequence = diskSequence(loop);
    const info = getStatus(loop);
    if (local || (info.flags & LO_FLAGS_READ_ONLY) === 0) {
      noteImage(disk, sequence, info, setup.file);
    }
    const noted = recordOwner(attachmentOf(loop.path, { info, sequence }), caller, expected);
    if (local) {
      noteLocal(disk, sequence);
    }
    if (wish.partitionScan && !content) {
      await announcePartitions(loop, disk);
    }
    throwIfCancelled(signal);
    if (!wish.autoclear && (info.flags & LO_FLAGS_AUTOCLEAR) !== 0) {
      await changeSettings(loop, withFlag(info, LO_FLAGS_AUTOCLEAR, false), underneath(setup.file), signal);
    }
    const fresh = content && describeFresh(disk, loop, setup.file.stat(), content, noted ? caller : undefined);
    const device = fresh ?? (await describe(disk));
    // Of a blank image, nothing has been written that closing could have to wait for.
    end = wish.autoclear ? "hold" : content && setup.blank ? "closeAtOnce" : "close";
    return { device, shared: false, unreachableTail: (wish.sizeLimit || size - wish.offset) - device.size };
  } catch (error) {
    // Closing then undoes it all. Where even that fails, the device is no longer ours to undo.
    await clearFd(loop).catch(() => {});
    throw error;
  } finally {
    // Closing a device that was open for writing makes udev look at it, and it must find it unlocked.
    loop.unlock();
    await letGo(disk, loop, end);
  }
}

/** A device that is about to be bound to an image. */
function toBecome(loop: OpenFile, image: OpenFile): Attachment {
  const { dev, ino } = image.identity();
  return {
    device: loop.path,
    diskSequence: diskSequence(loop),
    backingInode: Number(ino),
    backingDevnum: devnum(dev),
  };
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

function chooseSectorSize(
  { sectorSize, offset }: Wish,
  file: OpenFile,
  { block, blank }: { block: boolean; blank: boolean },
): number {
  if (sectorSize !== "probe") {
    return sectorSize;
  }
  if (blank) {
    return USUAL_SECTOR;
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
