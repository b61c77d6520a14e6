/* Having the kernel forget a disk's partitions, one by one: BLKRRPART would read them all again, or need a free disk. */
import { setTimeout as sleep } from "node:timers/promises";
import { deletePartition } from "../linux/blkpg";
import { isErrno, type KernelError } from "../linux/errno";
import type { OpenFile } from "../linux/file";
import { type KernelPartition, partitionsOf } from "../linux/sysfs";
import { removePartitionNodes } from "./nodes";

/** How long to wait for those who only have a quick look at what is new, as udev does, in milliseconds. */
export const PATIENCE = 1000;
const PAUSE = 10;

/**
 * Takes all partitions that the kernel knows of a disk from it, and their nodes where nobody else does. One that is
 * gone already is not counted. Nothing on the disk itself changes.
 *
 * @param disk open, for reading at least
 * @param name the disk's kernel name: "loop3"
 * @param patience milliseconds to wait while all that are left stay in use: none where locks are held or udev is locked
 *   out
 * @returns how many it removed
 * @throws KernelError EBUSY where one is in use; all others are removed even so
 */
export function forgetPartitions(disk: OpenFile, name: string, patience = 0): Promise<number> {
  return forgetThese(disk, name, partitionsOf(name), patience);
}

/** As `forgetPartitions`, for some of them. */
export async function forgetThese(
  disk: OpenFile,
  name: string,
  partitions: readonly KernelPartition[],
  patience: number,
): Promise<number> {
  let end = performance.now() + patience;
  let removed = 0;
  let left = partitions;
  for (;;) {
    const busy = new Map<KernelPartition, KernelError>();
    for (const partition of left) {
      try {
        await deletePartition(disk, partition.number);
        removed++;
      } catch (error) {
        if (isErrno(error, "EBUSY")) {
          busy.set(partition, error);
        } else if (!isErrno(error, "ENXIO")) {
          throw error;
        }
      }
    }
    if (busy.size < left.length) {
      // Whoever looks at many, one after the other, is through with some: the rest will have their turn.
      end = performance.now() + patience;
    }
    left = [...busy.keys()];
    const [error] = busy.values();
    if (!error || performance.now() >= end) {
      removePartitionNodes(name, partitions);
      if (error) {
        throw error;
      }
      return removed;
    }
    await sleep(PAUSE);
  }
}
