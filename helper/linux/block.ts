/* What every block device understands: <linux/fs.h>. */
import { KernelError } from "./errno";
import type { OpenFile } from "./file";
import { ioctl, ioctlAsync } from "./libc";

const BLKRRPART = 0x125f;
const BLKFLSBUF = 0x1261;
export const BLKSSZGET = 0x1268;
const BLKROSET = 0x125d;
export const BLKROGET = 0x125e;
export const BLKGETSIZE64 = 0x80081272;
export const BLKGETDISKSEQ = 0x80081280;

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

/** Writes the device's page cache back and drops it. */
export async function flushBuffers(device: OpenFile): Promise<void> {
  await ioctlAsync(device.fd, BLKFLSBUF, null, ["BLKFLSBUF", device.path]);
}

/** Has the kernel read the partition table again. @throws EBUSY where a partition is in use, EINVAL where it can't */
export async function rereadPartitions(device: OpenFile): Promise<void> {
  await ioctlAsync(device.fd, BLKRRPART, null, ["BLKRRPART", device.path]);
}
