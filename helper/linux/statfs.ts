/* Which kind of file system a file is on: fstatfs(2). */
import type { OpenFile } from "./file";
import { call } from "./libc";

// <linux/magic.h>
export const EXT4_SUPER_MAGIC = 0xef53;
export const XFS_SUPER_MAGIC = 0x58465342;
export const TMPFS_MAGIC = 0x01021994;
export const PROC_SUPER_MAGIC = 0x9fa0;

// `struct statfs`: 120 bytes on 64-bit machines, the first long of which is f_type.
const status = Buffer.alloc(128);

/** By its number in <linux/magic.h>. */
export function fileSystemOf(file: OpenFile): number {
  call("fstatfs", [file.fd, status], ["fstatfs", file.path]);
  return status.readUInt32LE();
}
