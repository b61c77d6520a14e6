/* Images in which the file system keeps nothing yet: that they are blank is known without reading them. */
import type { BigIntStats } from "node:fs";
import { errnoName, isErrno } from "../linux/errno";
import type { OpenFile } from "../linux/file";
import { attempt, call, callAsync } from "../linux/libc";

// <linux/magic.h>
const EXT4_SUPER_MAGIC = 0xef53;
const XFS_SUPER_MAGIC = 0x58465342;
const TMPFS_MAGIC = 0x01021994;
/**
 * Those that look for data under the lock that writers hold, and count what is written in memory only as data. Not
 * btrfs, which until Linux 6.8 could miss what was just being written; nor those whose answer another machine or a
 * program gives.
 */
const trusted: ReadonlySet<number> = new Set([EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, TMPFS_MAGIC]);

// <linux/fs.h>
const SEEK_DATA = 3;

// `struct statfs`: 120 bytes on 64-bit machines, the first long of which is f_type.
const status = Buffer.alloc(128);

function fileSystemOf(file: OpenFile): number {
  call("fstatfs", [file.fd, status], ["fstatfs", file.path]);
  return status.readUInt32LE();
}

/**
 * Whether a part of a regular file surely is nothing but a hole, which reads as zeros. Waits for whoever is writing to
 * it. @param offset bytes
 */
export function isHole(file: OpenFile, offset: number, size: number): boolean {
  const data = attempt("lseek", [file.fd, offset, SEEK_DATA], ["lseek", file.path]);
  // ENXIO: none from there to the end of the file.
  const nothing = data < 0 ? errnoName(-data) === "ENXIO" : data >= offset + size;
  return nothing && isLocal(file);
}

/** Whether a file's file system is one of those that no other machine or program answers for. */
export function isLocal(file: OpenFile): boolean {
  return trusted.has(fileSystemOf(file));
}

/**
 * Whether a local file surely is nothing but a hole, without waiting for anybody: what has no blocks has no data, as those
 * file systems count what is written in memory only, and what stands in the inode itself.
 *
 * @param stat what was just said of it
 */
export function isAllHole({ blocks }: Pick<BigIntStats, "blocks">): boolean {
  return blocks === 0n;
}

/** As `isHole`, with the waiting on another thread. */
export async function isHolePatiently(file: OpenFile, offset: number, size: number): Promise<boolean> {
  if (!isLocal(file)) {
    return false;
  }
  try {
    return (await callAsync("lseek", [file.fd, offset, SEEK_DATA], ["lseek", file.path])) >= offset + size;
  } catch (error) {
    return isErrno(error, "ENXIO");
  }
}
