/* Telling the kernel of partitions by hand: <linux/blkpg.h>. */
import koffi from "koffi";
import type { OpenFile } from "./file";
import { ioctlAsync } from "./libc";

const BLKPG = 0x1269;
const BLKPG_ADD_PARTITION = 1;
const BLKPG_DEL_PARTITION = 2;
const BLKPG_RESIZE_PARTITION = 3;

export const BLKPG_IOCTL_ARG_SIZE = 24;
export const BLKPG_PARTITION_SIZE = 152;

/** A partition as BLKPG takes it; start and length in bytes. */
export interface BlkpgPartition {
  number: number;
  start: bigint;
  length: bigint;
}

/** `struct blkpg_partition`: start, length, pno, and two names that the kernel ignores. */
export function encodeBlkpgPartition({ number, start, length }: BlkpgPartition): Buffer {
  const bytes = Buffer.alloc(BLKPG_PARTITION_SIZE);
  bytes.writeBigInt64LE(start, 0);
  bytes.writeBigInt64LE(length, 8);
  bytes.writeInt32LE(number, 16);
  return bytes;
}

async function blkpg(disk: OpenFile, operation: number, name: string, partition: BlkpgPartition): Promise<void> {
  const data = encodeBlkpgPartition(partition);
  // `struct blkpg_ioctl_arg`: op, flags, datalen, padding, a pointer to the partition.
  const argument = Buffer.alloc(BLKPG_IOCTL_ARG_SIZE);
  argument.writeInt32LE(operation, 0);
  argument.writeInt32LE(data.length, 8);
  argument.writeBigUInt64LE(koffi.address(data), 16);
  await ioctlAsync(disk.fd, BLKPG, argument, [name, `${disk.path} partition ${partition.number}`]);
  // The kernel has read `data` by an address that the garbage collector knows nothing of: keep it until here.
  data.fill(0);
}

/** @throws EBUSY where it overlaps one that is there or the number is taken */
export function addPartition(disk: OpenFile, partition: BlkpgPartition): Promise<void> {
  return blkpg(disk, BLKPG_ADD_PARTITION, "BLKPG_ADD_PARTITION", partition);
}

/** @throws EBUSY where it is in use, ENXIO where there is none */
export function deletePartition(disk: OpenFile, number: number): Promise<void> {
  return blkpg(disk, BLKPG_DEL_PARTITION, "BLKPG_DEL_PARTITION", { number, start: 0n, length: 0n });
}

/** Changes the length; the kernel refuses another start. @throws EBUSY where it would overlap, EINVAL for another start */
export function resizePartition(disk: OpenFile, partition: BlkpgPartition): Promise<void> {
  return blkpg(disk, BLKPG_RESIZE_PARTITION, "BLKPG_RESIZE_PARTITION", partition);
}
