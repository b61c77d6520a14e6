/*
 * Binding a free device to an image and setting it up: by LOOP_CONFIGURE, which does it in one call since Linux 5.8,
 * or by the calls before that. What was asked for is looked at afterwards, as kernels drop wishes without a word: 5.8
 * itself the size limit and the partition scan, every one direct I/O that can't be.
 */
import { allowWrites, deviceSize, flushBuffers, isReadOnly, sectorSize } from "../linux/block";
import { isErrno, KernelError } from "../linux/errno";
import type { OpenFile } from "../linux/file";
import {
  clearFd,
  configure,
  configureAtOnce,
  getStatus,
  LO_FLAGS_AUTOCLEAR,
  LO_FLAGS_DIRECT_IO,
  LO_FLAGS_PARTSCAN,
  LO_FLAGS_READ_ONLY,
  type LoopConfig,
  setDirectIo,
  setFd,
} from "../linux/loop";
import { partitionScanEnabled } from "../linux/sysfs";
import { inWords, Problem } from "../problem";
import { changeBlockSize, changeSettings, underneath } from "./settings";

/** How to set a device up. "auto": where the image allows it. */
export interface Setup extends LoopConfig {
  file: OpenFile;
  readOnly: boolean | "auto";
  directIo: boolean | "auto";
  /** The image is nothing but a hole: whatever the kernel looks for in it, there is nothing to read. */
  blank: boolean;
}

/** The setup of a device that is to go when it is closed, whoever closes it: until all is done. */
export function withAutoclear(setup: Setup): Setup {
  const { settings } = setup;
  return { ...setup, settings: { ...settings, flags: settings.flags | LO_FLAGS_AUTOCLEAR } };
}

/** How far a device has come by `bind`: all set up by LOOP_CONFIGURE, or bare after LOOP_SET_FD. */
export type Binding = "configured" | "bare";

// Found out once: LOOP_CONFIGURE is unknown here, or known and not to be relied on.
let configureUsable = true;

/** Whether LOOP_CONFIGURE is, as far as we know yet, of use on this kernel. */
export function isConfigureUsable(): boolean {
  return configureUsable;
}

// What LOOP_CONFIGURE has been seen to give, all of it, by `wishOf`.
const proven = new Set<string>();

/**
 * Whether LOOP_CONFIGURE has given a device all of such a wish before, so that nothing is left to be done after it. It is
 * looked at again all the same.
 */
export function isProven(setup: Setup): boolean {
  return configureUsable && proven.has(wishOf(setup));
}

// All that decides what this kernel does with a wish; direct I/O depends on the file system and on the offset, too.
function wishOf({ file, blockSize, directIo, readOnly, settings: { flags, offset, sizeLimit } }: Setup): string {
  const wished = flags & ~LO_FLAGS_AUTOCLEAR;
  return [file.identity().dev, blockSize, directIo, readOnly, wished, offset % 4096n, sizeLimit !== 0n].join();
}

/** For tests that play one kernel after another. */
export function forgetKernel(): void {
  configureUsable = true;
  proven.clear();
}

/**
 * Binds an unbound device.
 * @returns undefined where somebody else was quicker
 * @throws Problem invalid where the kernel doesn't take the image
 */
export async function bind(loop: OpenFile, setup: Setup): Promise<Binding | undefined> {
  try {
    if (configureUsable && (await bindAtOnce(loop, setup))) {
      return "configured";
    }
    await setFd(loop, setup.file);
    return "bare";
  } catch (error) {
    if (isErrno(error, "EBUSY", "ENXIO", "ENODEV", "EUCLEAN")) {
      return undefined;
    }
    throw isErrno(error, "EBADF", "EINVAL") ? unsuitable(setup.file, error) : error;
  }
}

/**
 * Sets up what `bind` has bound, and looks whether all is as asked. It can take seconds: no lock on the control device
 * is to be held meanwhile.
 *
 * @returns the setup to try again with on another device, where this kernel or image needs another way; this device is
 * given up then, and not surely free at once, as the kernel finishes unbinding when it likes
 * @throws Problem where the wish can't be met; the device is given up
 */
export async function complete(
  disk: string,
  loop: OpenFile,
  setup: Setup,
  binding: Binding,
  signal: AbortSignal,
): Promise<Setup | undefined> {
  try {
    if (binding === "bare") {
      // Whatever was expected of LOOP_CONFIGURE: step by step, nothing is done before the last one.
      await setUpStepByStep(loop, withAutoclear(setup), signal);
    }
    if ((setup.settings.flags & LO_FLAGS_READ_ONLY) === 0 && isReadOnly(loop)) {
      // Somebody has made the number read-only for an image before this one: the kernel keeps that.
      allowWrites(loop);
    }
    const dropped = droppedWish(disk, loop, setup);
    if (dropped === undefined) {
      const again = await settleDirectIo(loop, setup);
      if (again) {
        await clearFd(loop);
        return withAutoclear(again);
      }
      if (binding === "configured") {
        proven.add(wishOf(setup));
      }
      return undefined;
    }
    if (binding === "bare") {
      throw new Problem("unsupported", `This kernel can't give ${setup.file.path} ${dropped}.`, { device: loop.path });
    }
    // What LOOP_CONFIGURE drops, the old calls may heed.
    configureUsable = false;
    await clearFd(loop);
    return withAutoclear(setup);
  } catch (error) {
    await clearFd(loop).catch(() => {});
    throw error;
  }
}

// EINVAL is what old kernels say to a call they don't know, and new ones to a bad request. With a descriptor that
// can't be, only one that knows the call says EBADF.
async function bindAtOnce(loop: OpenFile, setup: Setup): Promise<boolean> {
  try {
    if (setup.blank) {
      configureAtOnce(loop, setup);
    } else {
      await configure(loop, setup);
    }
    return true;
  } catch (error) {
    if (!isErrno(error, "EINVAL", "ENOTTY", "EOPNOTSUPP", "ENOSYS")) {
      throw error;
    }
    if (await knowsConfigure(loop, setup)) {
      throw error;
    }
    configureUsable = false;
    return false;
  }
}

async function knowsConfigure(loop: OpenFile, setup: Setup): Promise<boolean> {
  try {
    await configure(loop, { ...setup, file: undefined });
    return true;
  } catch (error) {
    return isErrno(error, "EBADF");
  }
}

// Until LOOP_SET_STATUS64 a helper that is killed leaves the device bound: before Linux 5.8 there is no way around it.
async function setUpStepByStep(
  loop: OpenFile,
  { file, blockSize, settings }: Setup,
  signal: AbortSignal,
): Promise<void> {
  const under = underneath(file);
  await changeSettings(loop, settings, under, signal);
  if (settings.offset !== 0n || settings.sizeLimit !== 0n) {
    // Before Linux 5.0 the cache still held what was read at the old place.
    await flushBuffers(loop);
  }
  // Whether these two have come into effect is looked at afterwards: kernels before 4.14 and 4.4 don't know them.
  if (sectorSize(loop) !== blockSize) {
    await changeBlockSize(loop, blockSize, under, signal).catch(ignoreKernel);
  }
  if ((settings.flags & LO_FLAGS_DIRECT_IO) !== 0) {
    await setDirectIo(loop, true).catch(ignoreKernel);
  }
}

function ignoreKernel(error: unknown): void {
  if (!(error instanceof KernelError)) {
    throw error;
  }
}

/** What of the setup is not in effect, in words; `undefined` where all is. */
function droppedWish(disk: string, loop: OpenFile, setup: Setup): string | undefined {
  const { blockSize, settings, file } = setup;
  if (sectorSize(loop) !== blockSize) {
    return `sectors of ${blockSize} bytes`;
  }
  if (settings.sizeLimit !== 0n && deviceSize(loop) !== settings.sizeLimit) {
    const stat = file.stat();
    const size = stat.isBlockDevice() ? deviceSize(file) : stat.size;
    if (size < settings.offset + settings.sizeLimit) {
      throw new Problem("invalid", `${file.path} has become too short for what was asked of it. Nothing is attached.`);
    }
    return `a size limit of ${settings.sizeLimit} bytes`;
  }
  if ((settings.flags & LO_FLAGS_PARTSCAN) !== 0 && !partitionScanEnabled(disk)) {
    return "a partition scan";
  }
  if (setup.readOnly === false && (settings.flags & LO_FLAGS_READ_ONLY) === 0 && isReadOnly(loop)) {
    return "write access";
  }
  return undefined;
}

/** @returns another setup where the device is to be had without direct I/O */
async function settleDirectIo(loop: OpenFile, setup: Setup): Promise<Setup | undefined> {
  const { directIo, settings, file } = setup;
  const isOn = (getStatus(loop).flags & LO_FLAGS_DIRECT_IO) !== 0;
  if (directIo === true && !isOn) {
    // No other way to bind would change that: it is the image's file system, or an offset that isn't aligned.
    throw noDirectIo(file.path, loop.path);
  }
  if (directIo === false && isOn) {
    await setDirectIo(loop, false);
  }
  if (directIo === "auto" && !isOn && (settings.flags & LO_FLAGS_DIRECT_IO) !== 0) {
    // A device of which this wish was dropped fails every read on some old kernels (5.10 above dm-crypt).
    return { ...setup, settings: { ...settings, flags: settings.flags & ~LO_FLAGS_DIRECT_IO } };
  }
  return undefined;
}

export function noDirectIo(image: string, device?: string): Problem {
  return new Problem("unsupported", `${image} can't be read with direct I/O, or not from this offset.`, {
    call: "LOOP_SET_DIRECT_IO",
    ...(device === undefined ? {} : { device }),
  });
}

function unsuitable(image: OpenFile, error: KernelError): Problem {
  return Problem.of("invalid", `The kernel doesn't take ${image.path} as an image: ${inWords(error.errno)}.`, error);
}
