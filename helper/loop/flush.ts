import { flushBuffers } from "../linux/block";
import { isErrno } from "../linux/errno";
import { O_RDONLY, openDevice, openFile } from "../linux/file";
import type { LoopInfo } from "../linux/loop";
import { devnumOf, diskFolder, list, nodeOf, partitionsOf, readText } from "../linux/sysfs";
import { syncFileSystem } from "../mount/sync";
import { orCancelled, throwIfCancelled } from "../pause";
import type { CheckedParams } from "../protocol";
import { devicesMountedElsewhere, mountsByDevice } from "../users";
import type { Work } from "../work";
import { diskOf, numberOf, openBound } from "./device";

/**
 * Writes everything down to the disk under the image, from the top: the file systems mounted from the device or from
 * what stands on it, the page caches of all of those, the device itself (whose flush is an fsync of the image), and the
 * image once more by its own name, for a device that the kernel has no flush for (a read-only one).
 *
 * @throws Cancelled at once; what the kernel has begun to write by then, it writes
 */
export function flush(wish: CheckedParams<"loop/flush">, work: Work): Promise<void> {
  return orCancelled(flushFromTop(wish, work), work.signal);
}

async function flushFromTop(wish: CheckedParams<"loop/flush">, work: Work): Promise<void> {
  const disk = diskOf(numberOf(wish.device));
  const { loop, info } = await openBound(wish);
  try {
    const above = standingOn(disk);
    work.report("Writing the mounted file systems");
    for (const target of mountsOn([...above, disk])) {
      throwIfCancelled(work.signal);
      await syncFileSystem(target);
    }
    for (const name of await mountedElsewhereOnly([...above, disk])) {
      throwIfCancelled(work.signal);
      await syncDevice(name, true);
    }
    work.report("Writing the device");
    // Each has a page cache of its own, which an fsync of the whole disk doesn't touch.
    for (const name of above) {
      throwIfCancelled(work.signal);
      await syncDevice(name, wish.dropCache);
    }
    throwIfCancelled(work.signal);
    await loop.sync();
    throwIfCancelled(work.signal);
    work.report("Writing the image");
    await syncImage(disk, info);
    if (wish.dropCache) {
      await flushBuffers(loop);
    }
  } finally {
    await loop[Symbol.asyncDispose]();
  }
}

/** The partitions of a disk and all that stands on it or them, by the kernel's names; what is highest comes first. */
function standingOn(disk: string): string[] {
  const found: string[] = [];
  const visit = (name: string) => {
    const partitions = partitionsOf(name).map((partition) => partition.name);
    for (const above of [...partitions, ...list(`${folderOf(name)}/holders`)]) {
      visit(above);
      if (!found.includes(above)) {
        found.push(above);
      }
    }
  };
  visit(disk);
  return found;
}

function folderOf(name: string): string {
  return `/sys/class/block/${name}`;
}

function mountsOn(names: string[]): string[] {
  const mounts = mountsByDevice();
  return names
    .map((name) => devnumOf(folderOf(name)))
    .flatMap((number) => (number ? (mounts.get(number) ?? []) : []))
    .map(({ target }) => target);
}

/**
 * Those that are mounted, but only where we don't see it: by a container, a service with mounts of its own. No path of
 * ours leads to such a file system, but BLKFLSBUF on its device has it written down as well (blkdev_flushbuf in the
 * kernel's block/ioctl.c), for the price of the device's clean cache.
 */
async function mountedElsewhereOnly(names: string[]): Promise<string[]> {
  const here = mountsByDevice();
  const elsewhere = await devicesMountedElsewhere();
  return names.filter((name) => {
    const number = devnumOf(folderOf(name));
    return number !== undefined && elsewhere.has(number) && !here.has(number);
  });
}

async function syncDevice(name: string, dropCache: boolean): Promise<void> {
  try {
    await using device = await openDevice(nodeOf(name), O_RDONLY);
    await device.sync();
    if (dropCache) {
      await flushBuffers(device);
    }
  } catch (error) {
    // Gone meanwhile. One without a node has no page cache either, as nobody can open it.
    if (!isErrno(error, "ENOENT", "ENXIO", "ENODEV")) {
      throw error;
    }
  }
}

async function syncImage(disk: string, info: LoopInfo): Promise<void> {
  try {
    const path = readText(`${diskFolder(disk)}/loop/backing_file`);
    using image = openFile(path ?? "", O_RDONLY);
    const { ino, dev } = image.stat();
    if (ino === info.inode && dev === info.device) {
      await image.sync();
    }
  } catch (error) {
    // Deleted, or not to be reached from our mount namespace: the device's own flush has synced it.
    if (!isErrno(error, "ENOENT", "ENOTDIR", "EACCES", "EPERM", "ENAMETOOLONG", "ENXIO", "EINVAL")) {
      throw error;
    }
  }
}
