/* What every block device understands: <linux/fs.h>. */
import { KernelError } from "./errno";
import type { OpenFile } from "./file";
import { bare, ioctl, ioctlAsync } from "./libc";

const BLKRRPART = 0x125f;
const BLKFLSBUF = 0x1261;
const BLKSSZGET = 0x1268;
const BLKROSET = 0x125d;
const BLKROGET = 0x125e;
const BLKGETSIZE64 = 0x80081272;
const BLKGETDISKSEQ = 0x80081280;

// What the kernel answers: read before anything else is asked.
const bytes = Buffer.alloc(8);

/** In bytes. */
export function deviceSize(device: OpenFile): bigint {
  ioctl(device.fd, BLKGETSIZE64, bytes, ["BLKGETSIZE64", device.path]);
  return bytes.readBigUInt64LE();
}

/** The logical block size in bytes. */
export function sectorSize(device: OpenFile): number {
  ioctl(device.fd, BLKSSZGET, bytes, ["BLKSSZGET", device.path]);
  return bytes.readUInt32LE();
}

export function isReadOnly(device: OpenFile): boolean {
  ioctl(device.fd, BLKROGET, bytes, ["BLKROGET", device.path]);
  return bytes.readUInt32LE() !== 0;
}

/** Takes away what `blockdev --setro` has set; what the driver itself says of the device stays. */
export function allowWrites(device: OpenFile): void {
  ioctl(device.fd, BLKROSET, Buffer.alloc(4), ["BLKROSET", device.path]);
}

/** Grows with every attach and detach, machine-wide. `null` before Linux 5.15, which has none. */
export function diskSequence(device: OpenFile): number | null {
  try {
    ioctl(device.fd, BLKGETDISKSEQ, bytes, ["BLKGETDISKSEQ", device.path]);
  } catch (error) {
    // Block drivers answer an ioctl they don't know with either.
    if (error instanceof KernelError && ["ENOTTY", "EINVAL"].includes(error.errno)) {
      return null;
    }
    throw error;
  }
  return Number(bytes.readBigUInt64LE());
}

/** All of the above, as bytes to compare. */
export const BLOCK_FACTS_SIZE = 24;

/** Takes them down at once, always at the same place. */
export class BlockFacts {
  readonly #size: Buffer;
  readonly #sectorSize: Buffer;
  readonly #readOnly: Buffer;

  constructor(readonly bytes: Buffer) {
    this.#size = bytes.subarray(8);
    this.#sectorSize = bytes.subarray(16);
    this.#readOnly = bytes.subarray(20);
  }

  /** @returns false where that failed, as it does before Linux 5.15, which has no sequence numbers */
  read(device: number): boolean {
    return (
      bare.ioctl(device, BLKGETDISKSEQ, this.bytes) === 0 &&
      bare.ioctl(device, BLKGETSIZE64, this.#size) === 0 &&
      bare.ioctl(device, BLKSSZGET, this.#sectorSize) === 0 &&
      bare.ioctl(device, BLKROGET, this.#readOnly) === 0
    );
  }
}

export function decodeBlockFacts(bytes: Buffer) {
  return {
    diskSequence: Number(bytes.readBigUInt64LE()),
    size: Number(bytes.readBigUInt64LE(8)),
    sectorSize: bytes.readUInt32LE(16),
    readOnly: bytes.readUInt32LE(20) !== 0,
  };
}

/** Writes the device's page cache back and drops it. */
export async function flushBuffers(device: OpenFile): Promise<void> {
  await ioctlAsync(device.fd, BLKFLSBUF, null, ["BLKFLSBUF", device.path]);
}

/** Has the kernel read the partition table again. @throws EBUSY where a partition is in use, EINVAL where it can't */
export async function rereadPartitions(device: OpenFile): Promise<void> {
  await ioctlAsync(device.fd, BLKRRPART, null, ["BLKRRPART", device.path]);
}
