/* LOOP_SET_STATUS64 and LOOP_SET_BLOCK_SIZE, and what it takes to get them through. */
import { flushBuffers } from "../linux/block";
import { devnum } from "../linux/devnum";
import { isErrno, KernelError } from "../linux/errno";
import { O_RDONLY, type OpenFile, openDevice } from "../linux/file";
import { callAsync } from "../linux/libc";
import {
  LO_FLAGS_AUTOCLEAR,
  LO_FLAGS_PARTSCAN,
  type LoopInfo,
  type LoopSettings,
  setBlockSize,
  setStatus,
} from "../linux/loop";
import { nameOf } from "../linux/sysfs";
import { pause, pauseRandomly } from "../pause";
import { Problem } from "../problem";

/** Those that LOOP_SET_STATUS64 heeds; LOOP_SET_STATUS_SETTABLE_FLAGS in <linux/loop.h>. */
const SETTABLE_FLAGS = LO_FLAGS_AUTOCLEAR | LO_FLAGS_PARTSCAN;

// 20 pauses of 10 ms at least and of 10 to 250 ms at most: 1.4 seconds on average, 2.6 at worst.
const TRIES = 20;
const SHORTEST_PAUSE = 10;
const LONGEST_PAUSE = 250;
/** A loaded machine has been seen to need this even after the flush. */
const LAST_GRACE = 1000;

/** Where the bytes under a device lie: a dev_t, and the image itself where we have it open. */
export interface Underneath {
  device: bigint;
  image?: OpenFile;
}

export function underneath(image: OpenFile): Underneath {
  const identity = image.identity();
  return { device: identity.isBlockDevice() ? identity.rdev : identity.dev, image };
}

/** Changes a bound device's settings. @throws Problem busy where the kernel doesn't let it through in some 4 seconds */
export async function changeSettings(
  loop: OpenFile,
  settings: LoopSettings,
  under: Underneath,
  signal: AbortSignal,
): Promise<void> {
  const heeded = { ...settings, flags: settings.flags & SETTABLE_FLAGS };
  await patiently(loop, "LOOP_SET_STATUS64", under, signal, () => setStatus(loop, heeded));
}

/** As `changeSettings`, for the logical block size in bytes. */
export async function changeBlockSize(
  loop: OpenFile,
  size: number,
  under: Underneath,
  signal: AbortSignal,
): Promise<void> {
  await patiently(loop, "LOOP_SET_BLOCK_SIZE", under, signal, () => setBlockSize(loop, size));
}

// Since Linux 5.0 the kernel answers EAGAIN while pages of the device are cached under an offset or size that changes.
// Time mostly mends that (udev looks at a new device just then); after that the cache under the image is flushed,
// which nothing less than its whole device or file system brings about.
async function patiently(
  loop: OpenFile,
  call: string,
  under: Underneath,
  signal: AbortSignal,
  change: () => Promise<void>,
): Promise<void> {
  for (let attempt = 0; attempt < TRIES; attempt++) {
    if (await accepted(change)) {
      return;
    }
    await pauseRandomly(SHORTEST_PAUSE + ((LONGEST_PAUSE - SHORTEST_PAUSE) * attempt) / TRIES, signal, SHORTEST_PAUSE);
  }
  await flushUnder(under);
  if (await accepted(change)) {
    return;
  }
  await pause(LAST_GRACE, signal);
  if (!(await accepted(change))) {
    throw new Problem("busy", `${loop.path} can't be changed: its old data is still being written. Try again later.`, {
      errno: "EAGAIN",
      call,
      device: loop.path,
      users: [],
    });
  }
}

async function accepted(change: () => Promise<void>): Promise<boolean> {
  try {
    await change();
    return true;
  } catch (error) {
    if (isErrno(error, "EAGAIN")) {
      return false;
    }
    throw error;
  }
}

/**
 * Flushes the block device that holds the image; where none does (tmpfs, NFS, btrfs) or it can't be opened, the image's
 * whole file system, or all of them.
 */
async function flushUnder({ device, image }: Underneath): Promise<void> {
  const name = nameOf(devnum(device));
  if (name !== undefined) {
    try {
      await using disk = await openDevice(`/dev/${name.replaceAll("!", "/")}`, O_RDONLY);
      await flushBuffers(disk);
      return;
    } catch (error) {
      if (!(error instanceof KernelError)) {
        throw error;
      }
    }
  }
  await (image ? callAsync("syncfs", [image.fd], ["syncfs", image.path]) : callAsync("sync", [], ["sync", "/"]));
}

/** The flags of a device with one of them put on or off. */
export function withFlag(info: LoopInfo, flag: number, on: boolean): LoopInfo {
  return { ...info, flags: on ? info.flags | flag : info.flags & ~flag };
}
