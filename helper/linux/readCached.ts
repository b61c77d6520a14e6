/* Reading what the kernel has in memory, and nothing else: preadv2(2), Linux 4.14. */
import koffi from "koffi";
import { bare } from "./libc";

// <asm/unistd.h>; the lower half of its two for the position holds all of it on 64-bit machines.
const PREADV2 = { x64: 327, arm64: 286 }[process.arch as string];
/** <linux/fs.h> */
const RWF_NOWAIT = 8;
/** `struct iovec`: iov_base, iov_len. */
const VECTOR_SIZE = 16;

/** A place to read to, again and again. */
export class CachedReader {
  readonly bytes: Buffer;
  readonly #vector = Buffer.alloc(VECTOR_SIZE);

  constructor(length: number) {
    this.bytes = Buffer.allocUnsafeSlow(length);
    this.#vector.writeBigUInt64LE(koffi.address(this.bytes), 0);
    this.#vector.writeBigUInt64LE(BigInt(length), 8);
  }

  /**
   * Fills it from a position in a file, in bytes.
   * @returns false where that would have to wait, or this kernel or file system can't tell
   */
  fill(file: number, position: number): boolean {
    return (
      PREADV2 !== undefined &&
      bare.preadv2(PREADV2, file, this.#vector, 1, position, 0, RWF_NOWAIT) === this.bytes.length
    );
  }
}
