/*
 * Changing a bound device: only what is asked, only where it differs, and each change looked at afterwards. Where one
 * can't be made, those before it are taken back.
 */
import type { Caller } from "../caller";
import { deviceSize, flushBuffers, sectorSize } from "../linux/block";
import { isErrno } from "../linux/errno";
import type { OpenFile } from "../linux/file";
import {
  getStatus,
  LO_FLAGS_AUTOCLEAR,
  LO_FLAGS_DIRECT_IO,
  LO_FLAGS_PARTSCAN,
  type LoopInfo,
  setDirectIo,
} from "../linux/loop";
import { partitionsOf } from "../linux/sysfs";
import { announcePartitions } from "../partition/announce";
import { forgetPartitions, PATIENCE } from "../partition/forget";
import { retry, throwIfCancelled, uninterrupted } from "../pause";
import { Problem } from "../problem";
import type { CheckedParams } from "../protocol";
import { LOOK, lastingUsersOf } from "../users";
import { withControl } from "./control";
import { diskOf, numberOf, openOwned, underneathOf } from "./device";
import { hold, release } from "./held";
import { isClaimed } from "./inUse";
import { findOverlapping, type Overlap, overlapProblem } from "./overlap";
import { changeBlockSize, changeSettings, type Underneath, withFlag } from "./settings";

type Wish = CheckedParams<"loop/update">;

/** A device that is being changed, and how to take back what has been done so far. */
interface Changing {
  readonly loop: OpenFile;
  readonly disk: string;
  readonly under: Underneath;
  readonly signal: AbortSignal;
  readonly undo: (() => Promise<void>)[];
}

/**
 * Changes what the caller asks for of a device.
 * @throws Problem for the first change that can't be made; none is made then
 */
export async function update<T>(
  wish: Wish,
  caller: Caller,
  signal: AbortSignal,
  describe: () => Promise<T>,
): Promise<T> {
  const disk = diskOf(numberOf(wish.device));
  const { loop, info } = await openOwned(wish, caller);
  const changing: Changing = { loop, disk, under: underneathOf(info), signal, undo: [] };
  let keepOpen = false;
  try {
    await changePlaces(changing, info, wish);
    await changeDirectIo(changing, wish.directIo);
    await changeReference(changing, wish.reference);
    throwIfCancelled(signal);
    keepOpen = await changeAutoclear(changing, wish.autoclear);
    return await describe();
  } catch (error) {
    keepOpen = false;
    for (const undo of changing.undo.reverse()) {
      await undo().catch((failed) => process.stderr.write(`${wish.device}: ${failed}\n`));
    }
    throw error;
  } finally {
    await (keepOpen ? hold(disk, loop) : loop[Symbol.asyncDispose]());
  }
}

/**
 * Changes where the device lies in the image, and in what sectors its partition table counts. Partitions that the kernel
 * knows from before would be other places of the image then: they go first, so that nobody can open one meanwhile, and
 * those of the table that is there now come after.
 */
async function changePlaces(changing: Changing, info: LoopInfo, wish: Wish): Promise<void> {
  const { loop, disk, undo } = changing;
  const extent = {
    offset: wish.offset === undefined ? info.offset : BigInt(wish.offset),
    sizeLimit: wish.sizeLimit === undefined ? info.sizeLimit : BigInt(wish.sizeLimit),
  };
  const moves = extent.offset !== info.offset || extent.sizeLimit !== info.sizeLimit;
  const sector = sectorSize(loop);
  const size = wish.sectorSize ?? sector;
  if (!moves && size === sector) {
    return;
  }
  await refuseIfUsed(changing);
  const before = moves ? await withControl(changing.signal, () => refuseNewOverlap(changing, info, extent)) : undefined;
  const shown = (info.flags & LO_FLAGS_PARTSCAN) !== 0 || partitionsOf(disk).length > 0;
  const showPartitions = async () => {
    if (shown) {
      await forgetPartitions(loop, disk, PATIENCE);
      await announcePartitions(loop, disk);
    }
  };
  undo.push(showPartitions);
  await forgetPartitions(loop, disk, PATIENCE);
  if (before) {
    await changeExtent(changing, info, extent);
    // The lock wasn't kept, as the change can take seconds: who has attached the same part meanwhile didn't see us there.
    await withControl(changing.signal, () => refuseOverlap(changing, info, extent, before));
  }
  if (size !== sector) {
    await changeSectorSize(changing, sector, size);
  }
  await showPartitions();
}

// Whoever has the device open or mapped would go on reading what stood at the old place: the kernel changes the offset
// all the same, and leaves the old pages to them.
async function changeExtent(
  { loop, under, signal, undo }: Changing,
  info: LoopInfo,
  { offset, sizeLimit }: Pick<LoopInfo, "offset" | "sizeLimit">,
): Promise<void> {
  if (sizeLimit % 512n !== 0n) {
    throw new Problem("invalid", `The size limit of ${sizeLimit} bytes isn't a multiple of 512.`, {
      device: loop.path,
    });
  }
  await loop.sync();
  const change = async (to: { offset: bigint; sizeLimit: bigint }, until: AbortSignal) => {
    await changeSettings(loop, { ...getStatus(loop), offset: to.offset, sizeLimit: to.sizeLimit }, under, until);
    await flushBuffers(loop);
  };
  undo.push(() => change(info, uninterrupted));
  await change({ offset, sizeLimit }, signal);
  const size = deviceSize(loop);
  if (size === 0n || (sizeLimit !== 0n && size !== sizeLimit)) {
    const length = sizeLimit === 0n ? "" : ` for ${sizeLimit} bytes`;
    throw new Problem("invalid", `The image doesn't reach from byte ${offset}${length}.`, { device: loop.path });
  }
}

async function changeSectorSize({ loop, under, signal, undo }: Changing, before: number, size: number): Promise<void> {
  undo.push(() => changeBlockSize(loop, before, under, uninterrupted));
  try {
    await changeBlockSize(loop, size, under, signal);
  } catch (error) {
    throw isErrno(error, "EINVAL", "ENOTTY") ? noSectors(loop, size) : error;
  }
  if (sectorSize(loop) !== size) {
    throw noSectors(loop, size);
  }
}

function noSectors(loop: OpenFile, size: number): Problem {
  return new Problem("unsupported", `This kernel can't give ${loop.path} sectors of ${size} bytes.`, {
    device: loop.path,
    call: "LOOP_SET_BLOCK_SIZE",
  });
}

async function changeDirectIo({ loop, undo }: Changing, on: boolean | undefined): Promise<void> {
  const isOn = () => (getStatus(loop).flags & LO_FLAGS_DIRECT_IO) !== 0;
  if (on === undefined || on === isOn()) {
    return;
  }
  undo.push(() => setDirectIo(loop, !on));
  try {
    await setDirectIo(loop, on);
  } catch (error) {
    // Not with this file system, offset or sector size; older kernels just leave it as it was.
    if (!isErrno(error, "EINVAL", "ENOTTY")) {
      throw error;
    }
  }
  if (isOn() !== on) {
    throw new Problem("unsupported", `The image of ${loop.path} can't be read with direct I/O.`, {
      device: loop.path,
      call: "LOOP_SET_DIRECT_IO",
    });
  }
}

async function changeReference({ loop, under, signal, undo }: Changing, reference: string | undefined): Promise<void> {
  const before = getStatus(loop).reference;
  if (reference === undefined || reference === before) {
    return;
  }
  const change = (to: string, until: AbortSignal) =>
    changeSettings(loop, { ...getStatus(loop), reference: to }, under, until);
  undo.push(() => change(before, uninterrupted));
  await change(reference, signal);
}

/** @returns whether the device must be held open from now on, as it would go when we close it */
async function changeAutoclear(
  { loop, disk, under, signal, undo }: Changing,
  on: boolean | undefined,
): Promise<boolean> {
  const before = (getStatus(loop).flags & LO_FLAGS_AUTOCLEAR) !== 0;
  if (on === undefined || on === before) {
    return false;
  }
  const change = (to: boolean, until: AbortSignal) =>
    changeSettings(loop, withFlag(getStatus(loop), LO_FLAGS_AUTOCLEAR, to), under, until);
  undo.push(() => change(before, uninterrupted));
  await change(on, signal);
  if (!on) {
    await release(disk);
  }
  return on;
}

type Place = Pick<LoopInfo, "offset" | "sizeLimit">;

// As an attach would; but with whom it overlaps already, it may go on to.
async function refuseNewOverlap(changing: Changing, info: LoopInfo, to: Place): Promise<ReadonlySet<string>> {
  const before = new Set((await overlapping(changing, info, info)).map(({ disk }) => disk));
  await refuseOverlap(changing, info, to, before);
  return before;
}

async function refuseOverlap(
  changing: Changing,
  info: LoopInfo,
  place: Place,
  except: ReadonlySet<string>,
): Promise<void> {
  const added = (await overlapping(changing, info, place)).filter(({ disk }) => !except.has(disk));
  if (added.length > 0) {
    throw overlapProblem(`That part of the image of ${changing.loop.path}`, added);
  }
}

/** The other devices that show a part of the image, not open any more. */
async function overlapping({ disk }: Changing, info: LoopInfo, { offset, sizeLimit }: Place): Promise<Overlap[]> {
  const image = {
    dev: info.device,
    ino: info.inode,
    rdev: info.blockDevice,
    isBlockDevice: () => info.blockDevice !== 0n,
  };
  const part = { offset: Number(offset), sizeLimit: Number(sizeLimit) };
  const found = await findOverlapping({ image, ...part, imageSize: Number.MAX_SAFE_INTEGER });
  await Promise.all(found.map((other) => other.loop[Symbol.asyncDispose]()));
  return found.filter((other) => other.disk !== disk);
}

async function refuseIfUsed({ loop, disk, signal }: Changing): Promise<void> {
  const users = await lastingUsersOf(disk, signal);
  if (users.length > 0) {
    throw new Problem("busy", `${loop.path} is in use, so where it lies in the image can't be changed.`, {
      device: loop.path,
      users,
    });
  }
  // A mount that can't be told from the list of mounts: of a file system with several devices, by a node elsewhere, in
  // another namespace.
  await retry(
    () => withControl(signal, async () => ((await isClaimed(`/proc/self/fd/${loop.fd}`)) ? undefined : true)),
    {
      limit: LOOK,
      signal,
      expired: () =>
        new Problem(
          "busy",
          `${loop.path} is in use where Diskloom can't see it, so where it lies in the image can't be changed.`,
          { device: loop.path, users: [] },
        ),
    },
  );
}
