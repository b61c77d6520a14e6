/*
 * What the kernel says of a loop device and of its image, taken down as bytes to compare, for those who look at
 * thousands on end. In as few functions as can be: where code isn't optimised, as on the thread for lists, calling one
 * of ours takes half as long as calling the kernel.
 */
import { BLKGETDISKSEQ, BLKGETSIZE64, BLKROGET, BLKSSZGET } from "./block";
import { isUncached } from "./cachestat";
import { type OpenFile, READ_BRIEFLY } from "./file";
import { bare } from "./libc";
import { LOOP_GET_STATUS64, LOOP_INFO_SIZE } from "./loop";
import { noteBriefly, noteNoneBriefly } from "./openHere";
import { FILE_FACTS_SIZE, readFileFacts, STATX_SIZE } from "./statx";

const { openat, ioctl, close } = bare;

/** What is said of the device; what is said of the image stands behind it. */
export const DEVICE_FACTS_SIZE = LOOP_INFO_SIZE + 24;

// Each time at the same place, a `struct loop_info64` first.
const now = Buffer.alloc(DEVICE_FACTS_SIZE + STATX_SIZE);
const diskSequence = now.subarray(LOOP_INFO_SIZE);
const size = now.subarray(LOOP_INFO_SIZE + 8);
const sectorSize = now.subarray(LOOP_INFO_SIZE + 16);
const readOnly = now.subarray(LOOP_INFO_SIZE + 20);
const image = now.subarray(DEVICE_FACTS_SIZE);

/** What was taken down last. */
export const facts = now.subarray(0, DEVICE_FACTS_SIZE + FILE_FACTS_SIZE);

/**
 * Takes down what is said of a device that is open.
 *
 * @returns false where that failed, as it does before Linux 5.15, or where the kernel has something of it in memory
 */
export function lookAtDevice(fd: number): boolean {
  return (
    ioctl(fd, LOOP_GET_STATUS64, now) === 0 &&
    ioctl(fd, BLKGETDISKSEQ, diskSequence) === 0 &&
    ioctl(fd, BLKGETSIZE64, size) === 0 &&
    ioctl(fd, BLKSSZGET, sectorSize) === 0 &&
    ioctl(fd, BLKROGET, readOnly) === 0 &&
    isUncached(fd)
  );
}

/** As `lookAtDevice`, of one that has to be opened; false, too, where it can't be. */
export function lookAtDeviceIn(folder: OpenFile, name: string): boolean {
  return lookIn(folder, name, lookAtDevice);
}

/** Takes down what is said of an image that is open. @returns false where that failed, or it isn't a regular file */
export function lookAtImage(fd: number): boolean {
  return readFileFacts(fd, "", image);
}

/** As `lookAtImage`, of one that has to be opened; false, too, where the kernel has something of it in memory. */
export function lookAtImageIn(folder: OpenFile, name: string): boolean {
  return lookIn(folder, name, lookAtUncached);
}

function lookAtUncached(fd: number): boolean {
  return isUncached(fd) && lookAtImage(fd);
}

function lookIn(folder: OpenFile, name: string, look: (fd: number) => boolean): boolean {
  const fd = openat(folder.fd, name, READ_BRIEFLY, 0);
  if (fd < 0) {
    return false;
  }
  noteBriefly(fd);
  const seen = look(fd);
  noteNoneBriefly();
  close(fd);
  return seen;
}

/** What `lookAtDevice` took down behind the `struct loop_info64`; the size in bytes. */
export function decodeBlockFacts(facts: Buffer) {
  return {
    diskSequence: Number(facts.readBigUInt64LE(LOOP_INFO_SIZE)),
    size: Number(facts.readBigUInt64LE(LOOP_INFO_SIZE + 8)),
    sectorSize: facts.readUInt32LE(LOOP_INFO_SIZE + 16),
    readOnly: facts.readUInt32LE(LOOP_INFO_SIZE + 20) !== 0,
  };
}
