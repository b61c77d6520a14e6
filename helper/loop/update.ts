/* Changing a bound device: only what is asked, only where it differs, and each change looked at afterwards. */
import type { Caller } from "../caller";
import { deviceSize, flushBuffers, sectorSize } from "../linux/block";
import type { OpenFile } from "../linux/file";
import {
  getStatus,
  LO_FLAGS_AUTOCLEAR,
  LO_FLAGS_DIRECT_IO,
  type LoopInfo,
  setBlockSize,
  setDirectIo,
} from "../linux/loop";
import { Problem } from "../problem";
import type { CheckedParams } from "../protocol";
import { usersOf } from "../users";
import { diskOf, numberOf, openOwned } from "./device";
import { hold, release } from "./held";
import { changeSettings, withFlag } from "./settings";

type Wish = CheckedParams<"loop/update">;

/**
 * Changes what the caller asks for of a device.
 * @throws Problem for the first change that can't be made; those before it have been made
 */
export async function update<T>(
  wish: Wish,
  caller: Caller,
  signal: AbortSignal,
  describe: () => Promise<T>,
): Promise<T> {
  const disk = diskOf(numberOf(wish.device));
  const { loop, info } = await openOwned(wish, caller);
  let keepOpen = false;
  try {
    await changeExtent(loop, info, disk, wish, signal);
    await changeSectorSize(loop, disk, wish.sectorSize);
    await changeDirectIo(loop, wish.directIo);
    await changeReference(loop, wish.reference, signal);
    keepOpen = await changeAutoclear(loop, disk, wish.autoclear, signal);
    return await describe();
  } finally {
    if (keepOpen) {
      hold(disk, loop);
    } else {
      await loop[Symbol.asyncDispose]();
    }
  }
}

// Whoever has the device open or mapped would go on reading what stood at the old place: the kernel changes the offset
// all the same, and leaves the old pages to them.
async function changeExtent(
  loop: OpenFile,
  info: LoopInfo,
  disk: string,
  wish: Wish,
  signal: AbortSignal,
): Promise<void> {
  const offset = wish.offset === undefined ? info.offset : BigInt(wish.offset);
  const sizeLimit = wish.sizeLimit === undefined ? info.sizeLimit : BigInt(wish.sizeLimit);
  if (offset === info.offset && sizeLimit === info.sizeLimit) {
    return;
  }
  if (sizeLimit % 512n !== 0n) {
    throw new Problem("invalid", `The size limit of ${sizeLimit} bytes isn't a multiple of 512.`, {
      device: loop.path,
    });
  }
  await refuseIfUsed(loop, disk);
  await loop.sync();
  await changeSettings(loop, { ...info, offset, sizeLimit }, undefined, signal);
  await flushBuffers(loop);
  const size = deviceSize(loop);
  if (size === 0n || (sizeLimit !== 0n && size !== sizeLimit)) {
    await changeSettings(loop, info, undefined, signal);
    throw new Problem("invalid", `The image doesn't reach from ${offset} for ${sizeLimit || "any"} bytes.`, {
      device: loop.path,
    });
  }
}

async function changeSectorSize(loop: OpenFile, disk: string, size: number | undefined): Promise<void> {
  if (size === undefined || size === sectorSize(loop)) {
    return;
  }
  await refuseIfUsed(loop, disk);
  await setBlockSize(loop, size);
  if (sectorSize(loop) !== size) {
    throw new Problem("unsupported", `This kernel can't give ${loop.path} sectors of ${size} bytes.`, {
      device: loop.path,
    });
  }
}

async function changeDirectIo(loop: OpenFile, on: boolean | undefined): Promise<void> {
  const isOn = () => (getStatus(loop).flags & LO_FLAGS_DIRECT_IO) !== 0;
  if (on === undefined || on === isOn()) {
    return;
  }
  await setDirectIo(loop, on);
  if (isOn() !== on) {
    throw new Problem("unsupported", `The image of ${loop.path} can't be read with direct I/O.`, {
      device: loop.path,
      call: "LOOP_SET_DIRECT_IO",
    });
  }
}

async function changeReference(loop: OpenFile, reference: string | undefined, signal: AbortSignal): Promise<void> {
  const info = getStatus(loop);
  if (reference !== undefined && reference !== info.reference) {
    await changeSettings(loop, { ...info, reference }, undefined, signal);
  }
}

/** @returns whether the device must be held open from now on, as it would go when we close it */
async function changeAutoclear(
  loop: OpenFile,
  disk: string,
  on: boolean | undefined,
  signal: AbortSignal,
): Promise<boolean> {
  const info = getStatus(loop);
  if (on === undefined || on === ((info.flags & LO_FLAGS_AUTOCLEAR) !== 0)) {
    return false;
  }
  await changeSettings(loop, withFlag(info, LO_FLAGS_AUTOCLEAR, on), undefined, signal);
  if (!on) {
    await release(disk);
  }
  return on;
}

async function refuseIfUsed(loop: OpenFile, disk: string): Promise<void> {
  const users = await usersOf(disk);
  if (users.length > 0) {
    throw new Problem("busy", `${loop.path} is in use, so where it lies in the image can't be changed.`, {
      device: loop.path,
      users,
    });
  }
}
