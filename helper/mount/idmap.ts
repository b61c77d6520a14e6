/*
 * Id-mapped mounts (Linux 5.12): files of root in an image are shown as the caller's, so that they can be edited as
 * oneself; what is written as the caller is root's in the image. The two ids change places, all others stay.
 */
import type { Caller } from "../caller";
import { isErrno } from "../linux/errno";
import type { OpenFile } from "../linux/file";
import { type FileSystemWish, setIdMap } from "../linux/mount";
import { openUserNamespace } from "../linux/userns";
import { Problem } from "../problem";

/** @throws Problem invalid for root, whose files they are already */
export function checkIdMap({ idMap }: { idMap: boolean }, caller: Caller): void {
  if (idMap && caller.uid === 0) {
    throw new Problem("invalid", "Files of root are yours already: as root, leave idMap out.");
  }
}

/** @throws Problem unsupported where the kernel, or the file system in it, can't */
export function applyIdMap(mount: OpenFile, { source: device, fileSystem }: FileSystemWish, caller: Caller): void {
  try {
    using namespace = openUserNamespace({ uids: swap(caller.uid), gids: swap(caller.gid) });
    setIdMap(mount, namespace);
  } catch (error) {
    if (isErrno(error, "ENOSYS", "EINVAL", "ENOSPC", "EPERM", "EOPNOTSUPP")) {
      throw Problem.of(
        "unsupported",
        `This kernel can't show files on ${fileSystem} with other owners. Mount it without, and edit as root.`,
        error,
        { device },
      );
    }
    throw error;
  }
}

// user_namespaces(7): id inside, id outside, how many.
const ALL = 0xffff_ffff;
function swap(id: number): string {
  if (id === 0) {
    return `0 0 ${ALL}\n`;
  }
  const lines = [`0 ${id} 1`, `${id} 0 1`];
  if (id > 1) {
    lines.push(`1 1 ${id - 1}`);
  }
  if (id + 1 < ALL) {
    lines.push(`${id + 1} ${id + 1} ${ALL - id - 1}`);
  }
  return `${lines.join("\n")}\n`;
}
