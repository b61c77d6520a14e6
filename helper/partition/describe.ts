/* A disk's partitions as the protocol shows them. */
import { contentAt, type PartitionTable, unknownContent } from "../content/probe";
import type { Devnum } from "../linux/devnum";
import { KernelError } from "../linux/errno";
import { O_RDONLY, type OpenFile, openDevice } from "../linux/file";
import { diskFolder, type KernelPartition, partitionsOf } from "../linux/sysfs";
import type { Content, Mount, Partition } from "../protocol";
import { partitionNode } from "./nodes";

/** What is known of devices elsewhere. `folder` is the partition's in /sys. */
export interface Surroundings {
  mountsOf(number: Devnum): Mount[];
  holdersOf(folder: string, number: Devnum): string[];
}

/**
 * Describes the partitions that the kernel knows of a disk, with what the disk's table says of them.
 *
 * @param disk the disk's kernel name: "loop3"
 * @param file the whole disk, open for reading; without one, contents are unknown
 * @param table the table that was read from it
 * @param sectorSize the disk's, bytes
 */
export async function describePartitions(
  disk: string,
  file: OpenFile | undefined,
  table: PartitionTable | undefined,
  sectorSize: number,
  surroundings: Surroundings,
): Promise<Partition[]> {
  const described: Partition[] = [];
  for (const partition of partitionsOf(disk)) {
    const { name, number, devnum, start, size } = partition;
    const entry = table?.partitions.find((candidate) => candidate.number === number);
    // The table may have been changed since the kernel read it: what it says of another place says nothing of this.
    const { type, uuid, name: title } = entry?.start === start ? entry : { type: "", uuid: "", name: "" };
    described.push({
      device: partitionNode(name),
      number,
      start,
      size,
      type,
      uuid,
      name: title,
      content: await contentOfPartition(file, partition, sectorSize),
      mounts: surroundings.mountsOf(devnum),
      holders: surroundings.holdersOf(`${diskFolder(disk)}/${name}`, devnum),
    });
  }
  return described;
}

/**
 * A partition has a page cache of its own. Read through the disk, what was written to it could be missing, and what
 * was there before could be seen, for as long as the disk is open. Only where the partition can't be opened (no node,
 * no privilege) the disk is better than nothing.
 */
async function contentOfPartition(
  disk: OpenFile | undefined,
  { name, devnum, start, size }: KernelPartition,
  sectorSize: number,
): Promise<Content> {
  try {
    await using own = await openDevice(partitionNode(name), O_RDONLY);
    if (own.devnum() === devnum) {
      return await contentAt(own, { offset: 0, size, sectorSize });
    }
  } catch (error) {
    if (!(error instanceof KernelError)) {
      throw error;
    }
  }
  return disk ? contentAt(disk, { offset: start, size, sectorSize }) : unknownContent;
}
