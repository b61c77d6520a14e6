/* Images in which the file system keeps nothing yet: that they are blank is known without reading them. */
import { isUncached } from "../linux/cachestat";
import { errnoName, isErrno } from "../linux/errno";
import type { OpenFile } from "../linux/file";
import { attempt, callAsync } from "../linux/libc";
import { EXT4_SUPER_MAGIC, fileSystemOf, TMPFS_MAGIC, XFS_SUPER_MAGIC } from "../linux/statfs";
import { decodeFileFacts, readFileFacts, STATX_SIZE } from "../linux/statx";

/**
 * Those that look for data under the lock that writers hold, and count what is written in memory only as data. Not
 * btrfs, which until Linux 6.8 could miss what was just being written; nor those whose answer another machine or a
 * program gives.
 */
const trusted: ReadonlySet<number> = new Set([EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, TMPFS_MAGIC]);

// <linux/fs.h>
const SEEK_DATA = 3;

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

const facts = Buffer.alloc(STATX_SIZE);

/**
 * Whether all of a local file surely is one hole, without waiting for anybody. That it takes no
 * blocks is not enough: ext4 counts blocks that are still to be allocated, too, but takes them off that count a moment
 * before it adds them to the others (ext4_da_update_reserve_space), which one file in five shows to whoever looks all
 * the time. So nothing of it may be in memory, either, from where it would be written.
 */
export function isAllHole(file: OpenFile): boolean {
  return isUncached(file.fd) && readFileFacts(file.fd, "", facts) && decodeFileFacts(facts).blocks === 0;
}

/** As `isHole`, with the waiting on another thread, where there is any. */
export async function isHolePatiently(file: OpenFile, offset: number, size: number): Promise<boolean> {
  if (!isLocal(file)) {
    return false;
  }
  if (isAllHole(file)) {
    return true;
  }
  try {
    return (await callAsync("lseek", [file.fd, offset, SEEK_DATA], ["lseek", file.path])) >= offset + size;
  } catch (error) {
    return isErrno(error, "ENXIO");
  }
}
