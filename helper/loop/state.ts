/* What the kernel says of a bound loop device: by ioctls where we may open it, else by what /sys shows everybody. */
import type { BigIntStats } from "node:fs";
import { stat } from "node:fs/promises";
import { deviceSize, diskSequence, isReadOnly, sectorSize } from "../linux/block";
import { type Devnum, devnum } from "../linux/devnum";
import { isErrno } from "../linux/errno";
import { O_RDONLY, type OpenFile, openDevice } from "../linux/file";
import { getStatus, LO_FLAGS_AUTOCLEAR, LO_FLAGS_DIRECT_IO, LO_FLAGS_PARTSCAN, type LoopInfo } from "../linux/loop";
import { devnumOf, diskFolder, list, readBytes, readNumber } from "../linux/sysfs";
import type { LoopDevice } from "../protocol";

/** A loop device without what is on it and around it. */
export type LoopState = Omit<LoopDevice, "content" | "partitions" | "mounts" | "holders"> & { devnum: Devnum };

/** The kernel's names of all loop devices, bound or not, by number. */
export function loopDisks(): string[] {
  return list("/sys/block")
    .filter((name) => /^loop\d+$/.test(name))
    .sort((a, b) => Number(a.slice(4)) - Number(b.slice(4)));
}

/** Whether the kernel shows a device as bound; its folder for that comes and goes with the image. */
export function isBound(disk: string): boolean {
  return readBytes(`${diskFolder(disk)}/loop/backing_file`) !== undefined;
}

/** The state of a device, `undefined` where it is not bound or just went. */
export async function readState(disk: string): Promise<LoopState | undefined> {
  if (!isBound(disk)) {
    return undefined;
  }
  try {
    await using loop = await openDevice(`/dev/${disk}`, O_RDONLY);
    return await stateByIoctl(disk, loop);
  } catch (error) {
    if (isErrno(error, "EACCES", "EPERM", "ENOENT")) {
      return await stateFromSysfs(disk);
    }
    if (isErrno(error, "ENXIO", "ENODEV")) {
      return undefined;
    }
    throw error;
  }
}

/** The state of a device that is open. @throws KernelError ENXIO where it isn't bound */
async function stateByIoctl(disk: string, loop: OpenFile): Promise<LoopState | undefined> {
  const info = getStatus(loop);
  const number = devnumOf(diskFolder(disk));
  const shown = readBytes(`${diskFolder(disk)}/loop/backing_file`);
  if (number === undefined || shown === undefined || loop.devnum() !== number) {
    return undefined;
  }
  return {
    ...identity(disk, number),
    diskSequence: diskSequence(loop),
    size: Number(deviceSize(loop)),
    sectorSize: sectorSize(loop),
    readOnly: isReadOnly(loop),
    ...(await imageOf(shown, info)),
    offset: Number(info.offset),
    sizeLimit: Number(info.sizeLimit),
    autoclear: (info.flags & LO_FLAGS_AUTOCLEAR) !== 0,
    partitionScan: (info.flags & LO_FLAGS_PARTSCAN) !== 0,
    directIo: (info.flags & LO_FLAGS_DIRECT_IO) !== 0,
    reference: info.reference,
  };
}

async function stateFromSysfs(disk: string): Promise<LoopState | undefined> {
  const folder = diskFolder(disk);
  const number = devnumOf(folder);
  const shown = readBytes(`${folder}/loop/backing_file`);
  if (number === undefined || shown === undefined) {
    return undefined;
  }
  const value = (name: string) => readNumber(`${folder}/${name}`) ?? 0;
  return {
    ...identity(disk, number),
    diskSequence: readNumber(`${folder}/diskseq`) ?? null,
    size: value("size") * 512,
    sectorSize: value("queue/logical_block_size"),
    readOnly: value("ro") === 1,
    ...(await imageOf(shown)),
    offset: value("loop/offset"),
    sizeLimit: value("loop/sizelimit"),
    autoclear: value("loop/autoclear") === 1,
    partitionScan: value("loop/partscan") === 1,
    directIo: value("loop/dio") === 1,
    reference: "",
  };
}

function identity(disk: string, number: Devnum) {
  return { kind: "loop" as const, device: `/dev/${disk}`, number: Number(disk.slice(4)), devnum: number };
}

// What the kernel's d_path() puts behind the path of a file that has none any more.
const DELETED = Buffer.from(" (deleted)");
const MEMFD = Buffer.from("/memfd:");

/**
 * The image under a device. /sys shows the path that the file has now, with a mark where it has none, which could just
 * as well be the end of its name: only the inode tells.
 */
async function imageOf(
  shown: Buffer,
  info?: LoopInfo,
): Promise<Pick<LoopState, "backingFile" | "backingInode" | "backingDevnum" | "backingFileDeleted">> {
  const found = await statOf(shown);
  const inode = info?.inode ?? found?.ino ?? 0n;
  const device = info ? devnum(info.device) : found ? devnum(found.dev) : "";
  const marked = shown.subarray(-DELETED.length).equals(DELETED);
  const there = found !== undefined && (!info || (found.ino === info.inode && devnum(found.dev) === device));
  const path = marked && !there ? shown.subarray(0, -DELETED.length) : shown;
  const inMemory = marked && !there && shown.subarray(0, MEMFD.length).equals(MEMFD);
  return {
    backingFile: path.toString("utf8"),
    backingInode: Number(inode),
    backingDevnum: device,
    // Without the inode to compare (no privilege), a file that we just can't see isn't called deleted.
    backingFileDeleted: !inMemory && (info ? !there : marked && !there),
  };
}

// Not on our own thread: the image may be on a server that has stopped answering.
async function statOf(path: Buffer): Promise<BigIntStats | undefined> {
  try {
    return await stat(path, { bigint: true });
  } catch {
    // Beyond our rights, or not a path from here at all (another mount namespace).
    return undefined;
  }
}
