/*
 * Attaching an image: a transaction. The device is bound with autoclear while we hold it open, and autoclear is dropped
 * last of all. Whatever ends the helper before that, SIGKILL included, the kernel then detaches the device.
 */
import { type Caller, type OpenedImage, openImage } from "../caller";
import { probeSectorSize } from "../content/probe";
import { deviceSize, sectorSize as sectorSizeOf } from "../linux/block";
import { isErrno } from "../linux/errno";
import { O_DIRECT, O_RDONLY, O_RDWR, type OpenFile, openDevice, openFile } from "../linux/file";
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
import { recordOwner } from "../owners";
import { announcePartitions } from "../partition/announce";
import { forgetPartitions } from "../partition/forget";
import { pauseRandomly, throwIfCancelled } from "../pause";
import { Problem } from "../problem";
import type { CheckedParams, LoopDevice } from "../protocol";
import type { Work } from "../work";
import { type Binding, bind, complete, noDirectIo, type Setup } from "./configure";
import { withControl } from "./control";
import { attachmentOf, diskOf, numberOf, openLoop } from "./device";
import { hold } from "./held";
import { copyToMemory } from "./memory";
import { type Extent, findOverlapping, findSame, type Overlap, overlapProblem } from "./overlap";
import { changeSettings, underneath, withFlag } from "./settings";
import { isBound } from "./state";
import { describeAsItIs, servesAsItIs } from "./whole";

/** Others take devices as well, and losetup takes no lock. */
const TRIES = 64;
/** The longest pause after a lost race, in milliseconds; it grows up to this. */
const LONGEST_PAUSE = 100;
/** How often the kernel's choice of a free device may fail us until we have it make another. */
const STUCK = 8;
/** How long to wait for somebody who is setting up or taking down a device of the same image, in milliseconds. */
const UNSETTLED_LIMIT = 5000;

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

interface Taken {
  disk: string;
  loop: OpenFile;
  /** Keeps udev and systemd off the device until it is as it should be. */
  lock: OpenFile;
}

/** What one try comes to, with the control device locked. */
type Try = (Taken & { binding: Binding }) | { same: Overlap } | "unsettled" | "lost";

async function take(
  wish: Wish,
  readOnly: boolean,
  first: Setup,
  extent: Extent,
  signal: AbortSignal,
): Promise<Taken | { same: Overlap }> {
  let setup = first;
  const choice = new Choice();
  const settledBy = performance.now() + UNSETTLED_LIMIT;
  for (let attempt = 1; attempt <= TRIES; ) {
    const result = await withControl(signal, async (control): Promise<Try> => {
      if (wish.overlap !== "allow" && !wish.inMemory) {
        const met = await meetOverlap(wish, readOnly, extent, performance.now() < settledBy);
        if (met) {
          return met;
        }
      }
      const number = await numberFor(wish.device, control, choice);
      const grabbed = await grab(number, readOnly, setup);
      if (grabbed === "lost") {
        choice.lost(number);
      }
      return grabbed;
    });
    if (typeof result === "string") {
      // Waiting for the same image is no lost race.
      attempt += result === "lost" ? 1 : 0;
    } else if ("same" in result) {
      return result;
    } else {
      const again = await completed(result, setup, signal);
      if (again === "done") {
        return result;
      }
      setup = again === "lost" ? setup : again;
      attempt++;
    }
    await pauseRandomly((LONGEST_PAUSE * attempt) / TRIES, signal, 1);
  }
  throw new Problem(
    "busy",
    wish.device
      ? `${wish.device} can't be had: another program keeps it. Leave the choice to Diskloom.`
      : `No free loop device could be got in ${TRIES} tries: other programs take them first.`,
    { ...(wish.device ? { device: wish.device } : {}), users: [] },
  );
}

async function meetOverlap(
  wish: Wish,
  readOnly: boolean,
  extent: Extent,
  patient: boolean,
): Promise<{ same: Overlap } | "unsettled" | undefined> {
  const overlapping = await findOverlapping(extent);
  let same: Overlap | undefined;
  try {
    // What another helper is about to set up may not come to be, or come to be exactly what is wanted.
    if (patient && overlapping.some(({ unsettled }) => unsettled)) {
      return "unsettled";
    }
    same = wish.overlap === "share" ? findSame(overlapping, { ...wish, readOnly }) : undefined;
    if (!same && overlapping.length > 0) {
      throw overlapProblem(wish.path, overlapping);
    }
    return same && { same };
  } finally {
    await Promise.all(overlapping.filter((it) => it !== same).map(({ loop }) => loop[Symbol.asyncDispose]()));
  }
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

/** Which free device to try. */
class Choice {
  readonly #losses = new Map<number, number>();
  #spare: number | undefined;

  lost(number: number): void {
    this.#losses.set(number, (this.#losses.get(number) ?? 0) + 1);
  }

  // One that is unbound, but with a partition in use, or locked, or without a node to be had, the kernel would offer for
  // ever. A single one is made for that: were it lost as well, more would not help.
  async free(control: OpenFile): Promise<number> {
    const offered = await getFree(control);
    if ((this.#losses.get(offered) ?? 0) < STUCK) {
      return offered;
    }
    this.#spare ??= await addDevice(control, -1);
    return this.#spare;
  }
}

async function numberFor(device: string | undefined, control: OpenFile, choice: Choice): Promise<number> {
  if (device === undefined) {
    return choice.free(control);
  }
  const number = numberOf(device);
  try {
    await addDevice(control, number);
  } catch (error) {
    if (isErrno(error, "EINVAL", "ENOSPC")) {
      throw Problem.of("invalid", `The kernel can't have a loop device of the number ${number}.`, error, { device });
    }
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

/** Binds the device of this number; "lost" where somebody else was quicker or it has to be another one. */
async function grab(number: number, readOnly: boolean, setup: Setup): Promise<(Taken & { binding: Binding }) | "lost"> {
  const disk = diskOf(number);
  const open: OpenFile[] = [];
  try {
    const loop = await openLoop(number, readOnly ? O_RDONLY : O_RDWR);
    open.push(loop);
    const lock = await openDevice(loop.path, O_RDONLY);
    open.push(lock);
    // Having had to clean up counts as a try: the kernel may still be at it.
    if (!lock.tryLock() || isBoundNow(loop) || (await forgetPartitions(loop, disk)) > 0) {
      return "lost";
    }
    const binding = await bind(loop, setup);
    if (!binding) {
      return "lost";
    }
    open.length = 0;
    return { disk, loop, lock, binding };
  } catch (error) {
    if (isTransient(error)) {
      return "lost";
    }
    throw error;
  } finally {
    await Promise.all(open.map((file) => file[Symbol.asyncDispose]()));
  }
}

/** Has a bound device set up. @returns "done", or why it was given up: the setup to try with next, or "lost" */
async function completed(
  { disk, loop, lock, binding }: Taken & { binding: Binding },
  setup: Setup,
  signal: AbortSignal,
): Promise<"done" | "lost" | Setup> {
  let kept = false;
  try {
    const again = await complete(disk, loop, setup, binding, signal);
    kept = again === undefined;
    return again ?? "done";
  } catch (error) {
    if (isTransient(error)) {
      return "lost";
    }
    throw error;
  } finally {
    if (!kept) {
      await Promise.all([loop, lock].map((file) => file[Symbol.asyncDispose]()));
    }
  }
}

// Somebody else bound the device, took it away, or both.
function isTransient(error: unknown): boolean {
  return (
    isErrno(error, "EBUSY", "ENODEV", "ENXIO", "ENOENT", "EUCLEAN") ||
    (error instanceof Problem && (error.data.reason === "stale" || error.data.reason === "notFound"))
  );
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
