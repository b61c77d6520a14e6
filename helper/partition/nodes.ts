/* The nodes of partitions in /dev, for where neither udev nor devtmpfs makes them and takes them away. */
import { lstatSync, unlinkSync } from "node:fs";
import { type Devnum, devnum } from "../linux/devnum";
import { asKernelError, isErrno } from "../linux/errno";
import { ensureBlockNode } from "../linux/node";
import { devnumOf, diskFolder, type KernelPartition, partitionsOf } from "../linux/sysfs";

/** What became of the nodes; paths. */
export interface EnsuredNodes {
  made: string[];
  /** Something that isn't ours to remove stands there: a file, a link, a folder. */
  blocked: string[];
}

/** The node of a partition by its kernel name. */
export function partitionNode(name: string): string {
  return `/dev/${name.replaceAll("!", "/")}`;
}

/**
 * Makes the nodes that are missing for the partitions that the kernel knows of a disk. A block node with another
 * number is left from an earlier partition and would show somebody else's data under this name: it is replaced.
 *
 * @param disk its kernel name: "loop3"
 * @throws KernelError EPERM and others where nodes can't be made at all
 */
export function ensurePartitionNodes(disk: string): EnsuredNodes {
  const result: EnsuredNodes = { made: [], blocked: [] };
  for (const { name, devnum: number } of partitionsOf(disk)) {
    const path = partitionNode(name);
    const present = nodeAt(path);
    if (present === number) {
      continue;
    }
    try {
      if (present === "other") {
        result.blocked.push(path);
        continue;
      }
      if (present !== undefined) {
        unlinkNode(path, present);
      }
      ensureBlockNode(path, number);
      result.made.push(path);
    } catch (error) {
      if (!isErrno(error, "EEXIST")) {
        throw error;
      }
      result.blocked.push(path);
    }
  }
  return result;
}

/**
 * Takes away the nodes of partitions that the kernel has forgotten, where nobody else has. What is not a block node of
 * exactly the partition's number is left alone, and so is the node of a partition that is there again.
 *
 * @param disk its kernel name
 * @param partitions what the kernel knew of it before
 * @returns the paths of the nodes that it removed
 */
export function removePartitionNodes(disk: string, partitions: readonly KernelPartition[]): string[] {
  const removed: string[] = [];
  for (const { name, devnum: number } of partitions) {
    if (devnumOf(`${diskFolder(disk)}/${name}`) === undefined && unlinkNode(partitionNode(name), number)) {
      removed.push(partitionNode(name));
    }
  }
  return removed;
}

/** Not following links: what is to be replaced or removed is what stands at the path itself. */
function nodeAt(path: string): Devnum | "other" | undefined {
  const found = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return found && (found.isBlockDevice() ? devnum(found.rdev) : "other");
}

function unlinkNode(path: string, number: Devnum): boolean {
  if (nodeAt(path) !== number) {
    return false;
  }
  try {
    unlinkSync(path);
    return true;
  } catch (error) {
    const known = asKernelError(error, "unlink", path);
    // udev or devtmpfs was quicker.
    if (isErrno(known, "ENOENT")) {
      return false;
    }
    throw known;
  }
}
