/* Making the kernel's picture of a disk's partitions that of the disk's table, with the least change. */
import type { PartitionTable } from "../content/probe";
import { isErrno } from "../linux/errno";
import type { OpenFile } from "../linux/file";
import { partitionsOf } from "../linux/sysfs";
import { Problem } from "../problem";
import { type Announced, announcePartitions, expectedPartitions, geometryOf, isSame, readTable } from "./announce";
import { forgetThese, PATIENCE } from "./forget";
import { resizePartition } from "./resize";

/** What came of it. Numbers are the partitions'. */
export interface Rescanned extends Announced {
  removed: number;
  resized: number[];
  table: PartitionTable | undefined;
}

/**
 * Reads a disk's table and takes it over: what is not in it goes, what is new comes, what has only another size is
 * resized, even while it is in use, and what is as it was is not touched. BLKRRPART in contrast needs a disk of which
 * nothing is in use, and a kernel that can parse the table.
 *
 * @param disk open, for reading at least
 * @param name its kernel name: "loop3"
 * @throws KernelError EBUSY where a partition that is in use would have to go; all else is done even so
 * @throws Problem unsupported where libblkid is missing, KernelError where the disk can't be read: nothing is changed
 */
export async function rescanPartitions(disk: OpenFile, name: string): Promise<Rescanned> {
  const table = await readTable(disk);
  const wanted = expectedPartitions(table, geometryOf(disk));
  const resized: number[] = [];
  const outdated = [];
  const ofOtherSize = [];
  for (const known of partitionsOf(name)) {
    const match = wanted.find(({ number }) => number === known.number);
    if (!match || match.start !== known.start) {
      outdated.push(known);
    } else if (!isSame(known, match)) {
      ofOtherSize.push({ known, size: match.size });
    }
  }
  let busy: unknown;
  const removed = await forgetThese(disk, name, outdated, PATIENCE).catch((error: unknown) => {
    if (!isErrno(error, "EBUSY")) {
      throw error;
    }
    busy = error;
    return 0;
  });
  for (const { known, size } of ofOtherSize) {
    try {
      await resizePartition(disk, known.name, { size });
      resized.push(known.number);
    } catch (error) {
      if (!(error instanceof Problem && error.data.reason === "busy")) {
        throw error;
      }
      busy ??= error;
    }
  }
  const announced = await announcePartitions(disk, name, table);
  if (busy) {
    throw busy;
  }
  return { ...announced, removed, resized, table };
}
