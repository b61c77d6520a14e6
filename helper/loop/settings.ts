/* LOOP_SET_STATUS64, and what it takes to get it through. */
import { flushBuffers } from "../linux/block";
import { devnum } from "../linux/devnum";
import { isErrno } from "../linux/errno";
import { O_RDONLY, type OpenFile, openDevice } from "../linux/file";
import { callAsync } from "../linux/libc";
import { LO_FLAGS_AUTOCLEAR, LO_FLAGS_PARTSCAN, type LoopInfo, type LoopSettings, setStatus } from "../linux/loop";
import { nameOf } from "../linux/sysfs";
import { pause, pauseRandomly } from "../pause";
import { Problem } from "../problem";

/** Those that LOOP_SET_STATUS64 heeds; LOOP_SET_STATUS_SETTABLE_FLAGS in <linux/loop.h>. */
const SETTABLE_FLAGS = LO_FLAGS_AUTOCLEAR | LO_FLAGS_PARTSCAN;

// 20 pauses of up to 10 to 250 ms: some three seconds on the whole.
const TRIES = 20;
const SHORTEST_PAUSE = 10;
const LONGEST_PAUSE = 250;
/** A loaded machine has been seen to need this even after the flush. */
const LAST_GRACE = 1000;

/**
 * Changes a bound device's settings. Since Linux 5.0 the kernel answers EAGAIN while pages of the device are dirty
 * under an offset or size that changes. Time mostly mends that (udev looks at a new device just then); after that the
 * cache under the image is flushed, which nothing less than its whole device or file system brings about.
 */
export async function changeSettings(
  loop: OpenFile,
  settings: LoopSettings,
  image: OpenFile | undefined,
  signal: AbortSignal,
): Promise<void> {
  const heeded = { ...settings, flags: settings.flags & SETTABLE_FLAGS };
  for (let attempt = 0; attempt < TRIES; attempt++) {
    if (await accepted(loop, heeded)) {
      return;
    }
    await pauseRandomly(SHORTEST_PAUSE + ((LONGEST_PAUSE - SHORTEST_PAUSE) * attempt) / TRIES, signal, SHORTEST_PAUSE);
  }
  await flushUnder(image ?? loop);
  if (await accepted(loop, heeded)) {
    return;
  }
  await pause(LAST_GRACE, signal);
  if (!(await accepted(loop, heeded))) {
    throw new Problem("busy", `${loop.path} can't be changed: its old data is still being written. Try again later.`, {
      errno: "EAGAIN",
      call: "LOOP_SET_STATUS64",
      device: loop.path,
      users: [],
    });
  }
}

async function accepted(loop: OpenFile, settings: LoopSettings): Promise<boolean> {
  try {
    await setStatus(loop, settings);
    return true;
  } catch (error) {
    if (isErrno(error, "EAGAIN")) {
      return false;
    }
    throw error;
  }
}

/** Flushes the block device that holds the file; where none does (tmpfs, NFS, btrfs), the file's whole file system. */
async function flushUnder(file: OpenFile): Promise<void> {
  const name = nameOf(devnum(file.stat().dev));
  if (name === undefined) {
    await callAsync("syncfs", [file.fd], ["syncfs", file.path]);
    return;
  }
  await using device = await openDevice(`/dev/${name}`, O_RDONLY);
  await flushBuffers(device);
}

/** The flags of a device with one of them put on or off. */
export function withFlag(info: LoopInfo, flag: number, on: boolean): LoopInfo {
  return { ...info, flags: on ? info.flags | flag : info.flags & ~flag };
}
