/* Having the kernel forget a disk's partitions, one by one: BLKRRPART would read them all again, or need a free disk. */
import { deletePartition } from "../linux/blkpg";
import { isErrno, type KernelError } from "../linux/errno";
import type { OpenFile } from "../linux/file";
import { type KernelPartition, partitionsOf } from "../linux/sysfs";
import { removePartitionNodes } from "./nodes";

/**
 * Takes all partitions that the kernel knows of a disk from it, and their nodes where nobody else does. One that is
 * gone already is not counted. Nothing on the disk itself changes.
 *
 * @param disk open, for reading at least
 * @param name the disk's kernel name: "loop3"
 * @returns how many it removed
 * @throws KernelError EBUSY where one is in use; all others are removed even so. It doesn't wait for users to finish.
 */
export async function forgetPartitions(disk: OpenFile, name: string): Promise<number> {
  return forgetThese(disk, name, partitionsOf(name));
}

/** As `forgetPartitions`, for some of them. */
export async function forgetThese(
  disk: OpenFile,
  name: string,
  partitions: readonly KernelPartition[],
): Promise<number> {
  const removed: KernelPartition[] = [];
  let busy: KernelError | undefined;
  for (const partition of partitions) {
    try {
      await deletePartition(disk, partition.number);
      removed.push(partition);
    } catch (error) {
      if (isErrno(error, "EBUSY")) {
        busy = error;
      } else if (!isErrno(error, "ENXIO")) {
        throw error;
      }
    }
  }
  removePartitionNodes(name, removed);
  if (busy) {
    throw busy;
  }
  return removed.length;
}
