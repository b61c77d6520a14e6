/* Reading what the kernel has in memory, and nothing else: preadv2(2), Linux 4.14. */
import koffi from "koffi";
import { bare } from "./libc";

// <asm/unistd.h>; the lower half of its two for the position holds all of it on 64-bit machines.
const PREADV2 = { x64: 327, arm64: 286 }[process.arch as string];
/** <linux/fs.h> */
const RWF_NOWAIT = 8;
/** `struct iovec`: iov_base, iov_len. */
const vector = Buffer.alloc(16);

/**
 * Fills a buffer from a position in a file, in bytes, at once.
 * @returns false where that would have to wait, there is less to read, or this kernel or file system can't tell
 */
export function readCached(file: number, bytes: Uint8Array, position: number): boolean {
  if (PREADV2 === undefined) {
    return false;
  }
  vector.writeBigUInt64LE(koffi.address(bytes), 0);
  vector.writeBigUInt64LE(BigInt(bytes.length), 8);
  return bare.preadv2(PREADV2, file, vector, 1, position, 0, RWF_NOWAIT) === bytes.length;
}
