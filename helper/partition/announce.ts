/*
 * Telling the kernel of the partitions in a disk's table, where its own scan has not: it has no parser for the table,
 * or the disk was attached without a scan. What it then knows is what its scan would have found.
 */
import { type PartitionTable, probe } from "../content/probe";
import { addPartition } from "../linux/blkpg";
import { deviceSize, sectorSize } from "../linux/block";
import { isErrno, KernelError } from "../linux/errno";
import type { OpenFile } from "../linux/file";
import { type KernelPartition, partitionsOf } from "../linux/sysfs";
import { Problem } from "../problem";
import { ensurePartitionNodes } from "./nodes";

/** A partition as the kernel has it: start and size in bytes. */
export type Extent = Pick<KernelPartition, "number" | "start" | "size">;

/** What came of announcing. Numbers are the partitions'. */
export interface Announced {
  added: number[];
  /** What the kernel would not take, and the name of its error: EBUSY where it overlaps another partition. */
  refused: { number: number; errno: string }[];
  /** Why the disk's table could not be read, where it was not. */
  unreadable?: Problem | KernelError;
}

/**
 * Makes the partitions known that are in the table and that the kernel doesn't know by number, and their nodes where
 * nobody else does. No partition that it can't make known is an error: the disk is of use without.
 *
 * @param disk open, for reading at least
 * @param name the disk's kernel name: "loop3"
 * @param table the disk's table if it was read already
 * @throws KernelError where nodes can't be made
 */
export async function announcePartitions(disk: OpenFile, name: string, table?: PartitionTable): Promise<Announced> {
  const result: Announced = { added: [], refused: [] };
  let wanted: Extent[];
  try {
    wanted = expectedPartitions(table ?? (await readTable(disk)), geometryOf(disk));
  } catch (error) {
    if (!(error instanceof Problem || error instanceof KernelError)) {
      throw error;
    }
    return { ...result, unreadable: error };
  }
  const known = new Set(partitionsOf(name).map(({ number }) => number));
  for (const partition of wanted) {
    if (known.has(partition.number)) {
      continue;
    }
    try {
      await addPartition(disk, {
        number: partition.number,
        start: BigInt(partition.start),
        length: BigInt(partition.size),
      });
      result.added.push(partition.number);
    } catch (error) {
      if (!(error instanceof KernelError)) {
        throw error;
      }
      // Somebody else was quicker with the very same: then all is as it should be.
      if (!isErrno(error, "EBUSY") || !partitionsOf(name).some((other) => isSame(other, partition))) {
        result.refused.push({ number: partition.number, errno: error.errno });
      }
    }
  }
  ensurePartitionNodes(name);
  return result;
}

/** The partition table on a disk, `undefined` where there is none. @throws Problem, KernelError as `probe` */
export async function readTable(disk: OpenFile): Promise<PartitionTable | undefined> {
  return (await probe(disk, { offset: 0, ...geometryOf(disk) })).table;
}

/** A disk's size and logical sector size in bytes. */
export interface Geometry {
  size: number;
  sectorSize: number;
}

export function geometryOf(disk: OpenFile): Geometry {
  return { size: Number(deviceSize(disk)), sectorSize: sectorSize(disk) };
}

export function isSame(a: Extent, b: Extent): boolean {
  return a.number === b.number && a.start === b.start && a.size === b.size;
}

// All the minors that the kernel gives to a disk: DISK_MAX_PARTS in <linux/blkdev.h>, of which one is the disk itself.
const HIGHEST_NUMBER = 255;
// What the kernel shows of an extended partition: enough for a boot loader, too little for a file system
// (block/partitions/msdos.c).
const EXTENDED_SIZE = 1024;

/** The partitions as the kernel's own scan would make them of a table. */
export function expectedPartitions(table: PartitionTable | undefined, { size, sectorSize }: Geometry): Extent[] {
  const expected: Extent[] = [];
  for (const partition of table?.partitions ?? []) {
    const { number, start } = partition;
    // The scan leaves out what starts past the disk's end, and cuts what ends past it (block/partitions/core.c).
    if (number < 1 || number > HIGHEST_NUMBER || start >= size) {
      continue;
    }
    const shown = partition.role === "extended" ? Math.max(EXTENDED_SIZE, sectorSize) : partition.size;
    const length = Math.min(shown, partition.size, size - start);
    if (length > 0) {
      expected.push({ number, start, size: length });
    }
  }
  return expected;
}
