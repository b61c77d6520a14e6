/* The loop driver's interface, <linux/loop.h>: numbers, structs and one function for each ioctl. */
import { isErrno } from "./errno";
import type { OpenFile } from "./file";
import { ioctl, ioctlAsync } from "./libc";

const LOOP_SET_FD = 0x4c00;
const LOOP_CLR_FD = 0x4c01;
const LOOP_SET_STATUS64 = 0x4c04;
export const LOOP_GET_STATUS64 = 0x4c05;
const LOOP_SET_CAPACITY = 0x4c07;
const LOOP_SET_DIRECT_IO = 0x4c08;
const LOOP_SET_BLOCK_SIZE = 0x4c09;
const LOOP_CONFIGURE = 0x4c0a;
const LOOP_CTL_ADD = 0x4c80;
const LOOP_CTL_REMOVE = 0x4c81;
const LOOP_CTL_GET_FREE = 0x4c82;

export const LO_FLAGS_READ_ONLY = 1;
export const LO_FLAGS_AUTOCLEAR = 4;
export const LO_FLAGS_PARTSCAN = 8;
export const LO_FLAGS_DIRECT_IO = 16;

export const LOOP_CONTROL = "/dev/loop-control";
/** The room for `lo_file_name`, its terminating NUL included. */
export const LO_NAME_SIZE = 64;

/** `struct loop_info64`, without what no kernel has used for years (encryption, init). Sizes are bytes. */
export interface LoopInfo {
  /** dev_t and inode of the backing file; only read. Of an image that is a block device, those of its node. */
  device: bigint;
  inode: bigint;
  /** dev_t of the block device that is the image or that holds it; only read. */
  blockDevice: bigint;
  offset: bigint;
  /** 0: to the end of the file. */
  sizeLimit: bigint;
  number: number;
  flags: number;
  /** `lo_file_name`: a free text that means nothing to the kernel. */
  reference: string;
}

export const LOOP_INFO_SIZE = 232;
export const LOOP_CONFIG_SIZE = 304;
/** Where the fields stand; tested against the header's. */
export const loopInfoOffsets = {
  lo_device: 0,
  lo_inode: 8,
  lo_rdevice: 16,
  lo_offset: 24,
  lo_sizelimit: 32,
  lo_number: 40,
  lo_flags: 52,
  lo_file_name: 56,
} as const;
export const loopConfigOffsets = { fd: 0, block_size: 4, info: 8 } as const;

export function decodeLoopInfo(bytes: Buffer): LoopInfo {
  const at = loopInfoOffsets;
  const name = bytes.subarray(at.lo_file_name, at.lo_file_name + LO_NAME_SIZE);
  const end = name.indexOf(0);
  return {
    device: bytes.readBigUInt64LE(at.lo_device),
    inode: bytes.readBigUInt64LE(at.lo_inode),
    blockDevice: bytes.readBigUInt64LE(at.lo_rdevice),
    offset: bytes.readBigUInt64LE(at.lo_offset),
    sizeLimit: bytes.readBigUInt64LE(at.lo_sizelimit),
    number: bytes.readUInt32LE(at.lo_number),
    flags: bytes.readUInt32LE(at.lo_flags),
    reference: name.toString("utf8", 0, end < 0 ? LO_NAME_SIZE : end),
  };
}

/** What can be set of a `struct loop_info64`. */
export type LoopSettings = Pick<LoopInfo, "offset" | "sizeLimit" | "flags" | "reference">;

export function encodeLoopInfo(settings: LoopSettings): Buffer {
  const at = loopInfoOffsets;
  const bytes = Buffer.alloc(LOOP_INFO_SIZE);
  bytes.writeBigUInt64LE(settings.offset, at.lo_offset);
  bytes.writeBigUInt64LE(settings.sizeLimit, at.lo_sizelimit);
  bytes.writeUInt32LE(settings.flags, at.lo_flags);
  // The caller has checked the length; the last byte stays NUL whatever comes.
  bytes.write(settings.reference, at.lo_file_name, LO_NAME_SIZE - 1, "utf8");
  return bytes;
}

/** `struct loop_config`: what to bind, its logical block size in bytes (0: the kernel's choice), and the settings. */
export interface LoopConfig {
  /** `undefined`: no file at all, which a kernel that knows the call refuses with EBADF. */
  file: OpenFile | undefined;
  blockSize: number;
  settings: LoopSettings;
}

export function encodeLoopConfig({ file, blockSize, settings }: LoopConfig): Buffer {
  const at = loopConfigOffsets;
  const bytes = Buffer.alloc(LOOP_CONFIG_SIZE);
  bytes.writeInt32LE(file?.fd ?? -1, at.fd);
  bytes.writeUInt32LE(blockSize, at.block_size);
  encodeLoopInfo(settings).copy(bytes, at.info);
  return bytes;
}

const status = Buffer.alloc(LOOP_INFO_SIZE);

/** The state of a bound device. @throws ENXIO where it isn't bound, and as `isUntold` says */
export function getStatus(loop: OpenFile): LoopInfo {
  ioctl(loop.fd, LOOP_GET_STATUS64, status, ["LOOP_GET_STATUS64", loop.path]);
  return decodeLoopInfo(status);
}

/** As `getStatus`; `undefined` where the device isn't bound, or is on its way out. */
export function statusIfBound(loop: OpenFile): LoopInfo | undefined {
  try {
    return getStatus(loop);
  } catch (error) {
    if (isErrno(error, "ENXIO")) {
      return undefined;
    }
    throw error;
  }
}

/**
 * Whether the state of a device can't be told as its image's file system, which LOOP_GET_STATUS64 asks, doesn't speak of
 * the file to us: FUSE only to its own user, though that be root who asks, and a server of no file that it hasn't any more.
 */
export function isUntold(error: unknown): boolean {
  return isErrno(error, "EACCES", "EPERM", "ESTALE") && error.call === "LOOP_GET_STATUS64";
}

/** As `getStatus`; `undefined` where it can't be told: see `isUntold`. */
export function statusIfTold(loop: OpenFile): LoopInfo | undefined {
  try {
    return getStatus(loop);
  } catch (error) {
    if (isUntold(error)) {
      return undefined;
    }
    throw error;
  }
}

/** Binds and sets up in one go, since Linux 5.8. With partition scan it reads from the image. */
export async function configure(loop: OpenFile, config: LoopConfig): Promise<void> {
  await ioctlAsync(loop.fd, LOOP_CONFIGURE, encodeLoopConfig(config), ["LOOP_CONFIGURE", loop.path]);
}

/** As `configure`, where there is nothing to read and nobody to wait for. */
export function configureAtOnce(loop: OpenFile, config: LoopConfig): void {
  ioctl(loop.fd, LOOP_CONFIGURE, encodeLoopConfig(config), ["LOOP_CONFIGURE", loop.path]);
}

/** Binds, and nothing else: the way before Linux 5.8. */
export async function setFd(loop: OpenFile, file: OpenFile): Promise<void> {
  await ioctlAsync(loop.fd, LOOP_SET_FD, file.fd, ["LOOP_SET_FD", loop.path]);
}

/** @throws EAGAIN where pages under a changed offset are still dirty (Linux 5.0 and later) */
export async function setStatus(loop: OpenFile, settings: LoopSettings): Promise<void> {
  await ioctlAsync(loop.fd, LOOP_SET_STATUS64, encodeLoopInfo(settings), ["LOOP_SET_STATUS64", loop.path]);
}

/** Unbinds when the last opener closes; returning is no proof of anything. */
export async function clearFd(loop: OpenFile): Promise<void> {
  await ioctlAsync(loop.fd, LOOP_CLR_FD, null, ["LOOP_CLR_FD", loop.path]);
}

/** As `clearFd`, where nobody has to be waited for. */
export function clearFdAtOnce(loop: OpenFile): void {
  ioctl(loop.fd, LOOP_CLR_FD, null, ["LOOP_CLR_FD", loop.path]);
}

/** Takes up the backing file's present size. */
export async function setCapacity(loop: OpenFile): Promise<void> {
  await ioctlAsync(loop.fd, LOOP_SET_CAPACITY, null, ["LOOP_SET_CAPACITY", loop.path]);
}

export async function setDirectIo(loop: OpenFile, on: boolean): Promise<void> {
  await ioctlAsync(loop.fd, LOOP_SET_DIRECT_IO, on ? 1 : 0, ["LOOP_SET_DIRECT_IO", loop.path]);
}

/** @param size bytes, a power of two from 512 to the page size */
export async function setBlockSize(loop: OpenFile, size: number): Promise<void> {
  await ioctlAsync(loop.fd, LOOP_SET_BLOCK_SIZE, size, ["LOOP_SET_BLOCK_SIZE", loop.path]);
}

/**
 * The number of an unbound device, made if there is none, which takes 0.2 ms and waits for nothing. It is nobody's until
 * it is bound.
 */
export function getFree(control: OpenFile): number {
  return ioctl(control.fd, LOOP_CTL_GET_FREE, null, ["LOOP_CTL_GET_FREE", control.path]);
}

/**
 * Makes a device of this number. @throws EEXIST where there is one, EINVAL where the number is too high
 * @param number -1: the lowest that no device has
 * @returns its number
 */
export async function addDevice(control: OpenFile, number: number): Promise<number> {
  return ioctlAsync(control.fd, LOOP_CTL_ADD, number, ["LOOP_CTL_ADD", control.path]);
}

/** Takes an unbound device away. @throws EBUSY where it is bound or open, ENODEV where there is none */
export async function removeDevice(control: OpenFile, number: number): Promise<void> {
  await ioctlAsync(control.fd, LOOP_CTL_REMOVE, number, ["LOOP_CTL_REMOVE", control.path]);
}
