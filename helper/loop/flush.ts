import { flushBuffers } from "../linux/block";
import { isErrno } from "../linux/errno";
import { O_RDONLY, openFile } from "../linux/file";
import { callAsync } from "../linux/libc";
import type { LoopInfo } from "../linux/loop";
import { devnumOf, diskFolder, partitionsOf, readText } from "../linux/sysfs";
import type { CheckedParams } from "../protocol";
import { mountsByDevice } from "../users";
import type { Work } from "../work";
import { diskOf, numberOf, openBound } from "./device";

/**
 * Writes everything down to the disk under the image, from the top: the file systems mounted from the device, its page
 * cache, the device itself (whose flush is an fsync of the image), and the image once more by its own name, for a
 * device that the kernel has no flush for (a read-only one).
 */
export async function flush(wish: CheckedParams<"loop/flush">, work: Work): Promise<void> {
  const disk = diskOf(numberOf(wish.device));
  const { loop, info } = await openBound(wish);
  try {
    work.report("Writing the mounted file systems");
    for (const target of mountsOn(disk)) {
      await syncFileSystem(target);
    }
    work.report("Writing the device");
    await loop.sync();
    work.report("Writing the image");
    await syncImage(disk, info);
    if (wish.dropCache) {
      await flushBuffers(loop);
    }
  } finally {
    await loop[Symbol.asyncDispose]();
  }
}

function mountsOn(disk: string): string[] {
  const mounts = mountsByDevice();
  const numbers = [devnumOf(diskFolder(disk)), ...partitionsOf(disk).map(({ devnum }) => devnum)];
  return numbers.flatMap((number) => (number ? (mounts.get(number) ?? []) : [])).map(({ target }) => target);
}

async function syncFileSystem(target: string): Promise<void> {
  try {
    using root = openFile(target, O_RDONLY);
    await callAsync("syncfs", [root.fd], ["syncfs", target]);
  } catch (error) {
    // Unmounted meanwhile, which has written it all.
    if (!isErrno(error, "ENOENT", "ENOTDIR")) {
      throw error;
    }
  }
}

async function syncImage(disk: string, info: LoopInfo): Promise<void> {
  const path = readText(`${diskFolder(disk)}/loop/backing_file`);
  try {
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
