/*
 * Binding a free device to an image and setting it up: by LOOP_CONFIGURE, which does it in one call since Linux 5.8,
 * or by the calls before that. What was asked for is looked at afterwards, as kernels drop wishes without a word: 5.8
 * itself the size limit and the partition scan, every one direct I/O that can't be.
 */
import { deviceSize, flushBuffers, sectorSize } from "../linux/block";
import { isErrno } from "../linux/errno";
import type { OpenFile } from "../linux/file";
import {
  clearFd,
  configure,
  getStatus,
  LO_FLAGS_DIRECT_IO,
  LO_FLAGS_PARTSCAN,
  type LoopConfig,
  setBlockSize,
  setDirectIo,
  setFd,
} from "../linux/loop";
import { partitionScanEnabled } from "../linux/sysfs";
import { inWords, Problem } from "../problem";
import { changeSettings } from "./settings";

/** How to set a device up. `directIo` "auto": where the image's file system can. */
export interface Setup extends LoopConfig {
  file: OpenFile;
  directIo: boolean | "auto";
}

// Found out once: LOOP_CONFIGURE is unknown here, or known and not to be relied on.
let configureUsable = true;

/** Whether LOOP_CONFIGURE is, as far as we know yet, of use on this kernel. */
export function isConfigureUsable(): boolean {
  return configureUsable;
}

/** For tests that play one kernel after another. */
export function forgetKernel(): void {
  configureUsable = true;
}

/**
 * Binds an unbound device.
 * @returns false where it was given up: somebody else was quicker, or this kernel needs the old way and the device is
 * not surely free for another try; the caller takes another device
 * @throws Problem where the wish can't be met; the device is unbound again then
 */
export async function bind(disk: string, loop: OpenFile, setup: Setup, signal: AbortSignal): Promise<boolean> {
  try {
    if (configureUsable && (await bindAtOnce(loop, setup))) {
      const dropped = await undoneUnless(loop, () => droppedWish(disk, loop, setup));
      if (dropped === undefined) {
        return true;
      }
      // What LOOP_CONFIGURE drops, the old calls may heed. Unbinding is finished by the kernel when it likes, so
      // this device can't be the next one.
      configureUsable = false;
      await clearFd(loop);
      return false;
    }
    await setFd(loop, setup.file);
  } catch (error) {
    if (isErrno(error, "EBUSY", "ENXIO", "ENODEV")) {
      return false;
    }
    throw isErrno(error, "EBADF", "EINVAL") ? unsuitable(setup.file, error.errno) : error;
  }
  await undoneUnless(loop, async () => {
    await setUpStepByStep(loop, setup, signal);
    const dropped = await droppedWish(disk, loop, setup);
    if (dropped !== undefined) {
      throw new Problem("unsupported", `This kernel can't give ${setup.file.path} ${dropped}.`, { device: loop.path });
    }
  });
  return true;
}

// EINVAL is what old kernels say to a call they don't know, and new ones to a bad request. With a descriptor that
// can't be, only one that knows the call says EBADF.
async function bindAtOnce(loop: OpenFile, setup: Setup): Promise<boolean> {
  try {
    await configure(loop, setup);
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

async function undoneUnless<T>(loop: OpenFile, body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (error) {
    await clearFd(loop).catch(() => {});
    throw error;
  }
}

// Until LOOP_SET_STATUS64 a helper that is killed leaves the device bound: before Linux 5.8 there is no way around it.
async function setUpStepByStep(
  loop: OpenFile,
  { file, blockSize, settings }: Setup,
  signal: AbortSignal,
): Promise<void> {
  await changeSettings(loop, settings, file, signal);
  if (settings.offset !== 0n || settings.sizeLimit !== 0n) {
    // Before Linux 5.0 the cache still held what was read at the old place.
    await flushBuffers(loop);
  }
  if (sectorSize(loop) !== blockSize) {
    await setBlockSize(loop, blockSize);
  }
  if ((settings.flags & LO_FLAGS_DIRECT_IO) !== 0) {
    // Whether it is on is looked at afterwards, and only a demand for it fails.
    await setDirectIo(loop, true).catch(() => {});
  }
}

/** What of the setup is not in effect, in words; `undefined` where all is. */
async function droppedWish(disk: string, loop: OpenFile, setup: Setup): Promise<string | undefined> {
  const { blockSize, settings } = setup;
  if (sectorSize(loop) !== blockSize) {
    return `sectors of ${blockSize} bytes`;
  }
  if (settings.sizeLimit !== 0n && deviceSize(loop) !== settings.sizeLimit) {
    return `a size limit of ${settings.sizeLimit} bytes`;
  }
  if ((settings.flags & LO_FLAGS_PARTSCAN) !== 0 && !partitionScanEnabled(disk)) {
    return "a partition scan";
  }
  const directIo = (getStatus(loop).flags & LO_FLAGS_DIRECT_IO) !== 0;
  if (setup.directIo === true && !directIo) {
    // No other way to bind would change that: it is the image's file system, or an offset that isn't aligned.
    throw new Problem("unsupported", `${setup.file.path} can't be read with direct I/O, or not from this offset.`, {
      call: "LOOP_SET_DIRECT_IO",
      device: loop.path,
    });
  }
  if (setup.directIo === false && directIo) {
    await setDirectIo(loop, false);
  }
  return undefined;
}

function unsuitable(image: OpenFile, errno: string): Problem {
  return new Problem("invalid", `The kernel doesn't take ${image.path} as an image: ${inWords(errno)}.`, {
    errno,
    call: "LOOP_CONFIGURE",
  });
}
