/* Changing what the kernel takes for a partition's size. The table on the disk is not touched. */
import { resizePartition as resize } from "../linux/blkpg";
import { sectorSize } from "../linux/block";
import { isErrno, type KernelError } from "../linux/errno";
import type { OpenFile } from "../linux/file";
import { type KernelPartition, nameOf, partitionsOf } from "../linux/sysfs";
import { inWords, Problem } from "../problem";
import { partitionNode } from "./nodes";

/**
 * Gives a partition another size, for the kernel alone. What is not asked for stays, and nothing is done where all is
 * as asked.
 *
 * @param disk the whole disk, open for reading at least
 * @param name the partition's kernel name: "loop3p1"
 * @param wish bytes, whole sectors
 * @returns the partition as the kernel has it now
 * @throws Problem notFound, invalid (another start, parts of sectors, past the disk's end), busy where it would overlap
 *   another partition
 */
export async function resizePartition(
  disk: OpenFile,
  name: string,
  wish: { start?: number | undefined; size?: number | undefined },
): Promise<KernelPartition> {
  const current = find(disk, name);
  const start = wish.start ?? current.start;
  const size = wish.size ?? current.size;
  if (start === current.start && size === current.size) {
    return current;
  }
  // Older kernels cut what fills no sector, and say nothing.
  const sector = sectorSize(disk);
  if (size <= 0 || start % sector !== 0 || size % sector !== 0) {
    throw new Problem(
      "invalid",
      `A partition of ${disk.path} starts and ends with whole sectors, of ${sector} bytes each. ` +
        `${start} and ${size} bytes don't fit that.`,
    );
  }
  try {
    await resize(disk, { number: current.number, start: BigInt(start), length: BigInt(size) });
  } catch (error) {
    throw refusal(error, disk, current, start);
  }
  const resized = find(disk, name);
  if (resized.start !== start || resized.size !== size) {
    throw new Problem("kernel", `The kernel resized ${partitionNode(name)} to ${resized.size} bytes, not ${size}.`);
  }
  return resized;
}

function find(disk: OpenFile, name: string): KernelPartition {
  const found = partitionsOf(nameOf(disk.devnum()) ?? "").find((partition) => partition.name === name);
  if (!found) {
    throw new Problem("notFound", `${disk.path} has no partition ${name}.`, { device: partitionNode(name) });
  }
  return found;
}

function refusal(error: unknown, disk: OpenFile, current: KernelPartition, start: number): unknown {
  const device = partitionNode(current.name);
  const refuse = (reason: "invalid" | "busy" | "notFound", message: string, cause: KernelError) =>
    Problem.of(reason, message, cause, reason === "busy" ? { device, users: [] } : { device });
  if (isErrno(error, "EINVAL") && start !== current.start) {
    return refuse("invalid", `The kernel can't move the start of a partition that it knows (${device}).`, error);
  }
  if (isErrno(error, "EINVAL")) {
    return refuse("invalid", `${device} can't have that size: it would end past the end of ${disk.path}.`, error);
  }
  if (isErrno(error, "EBUSY")) {
    return refuse("busy", `${device} can't have that size: it would overlap another partition.`, error);
  }
  if (isErrno(error, "ENXIO")) {
    return refuse("notFound", `${device} is gone: ${inWords(error.errno)}.`, error);
  }
  return error;
}
