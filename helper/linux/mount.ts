/* Unmounting and putting back: umount(2), open_tree(2), move_mount(2). */
import { isErrno } from "./errno";
import { OpenFile } from "./file";
import { call, callAsync, type Fd } from "./libc";

const UMOUNT_NOFOLLOW = 8;
const MNT_DETACH = 2;
// The newer system calls have the same numbers everywhere.
const SYS_OPEN_TREE = 428;
const SYS_MOVE_MOUNT = 429;
const AT_FDCWD = -100;
const OPEN_TREE_CLONE = 1;
const OPEN_TREE_CLOEXEC = 0o2000000;
const MOVE_MOUNT_F_EMPTY_PATH = 4;

/**
 * Unmounts what is mounted last at the target; with dirty data that takes as long as writing it.
 * @param lazy take it out of the tree at once and let it go when nobody uses it any more
 * @throws KernelError EBUSY where files on it are open, EINVAL where nothing is mounted there
 */
export async function unmount(target: string, { lazy = false } = {}): Promise<void> {
  await callAsync("umount2", [target, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)], ["umount2", target]);
}

/** A copy of a mount that is in no tree; `undefined` where this kernel can't (before Linux 5.2). */
export function cloneMount(target: string): OpenFile | undefined {
  try {
    const fd = call(
      "open_tree",
      [SYS_OPEN_TREE, AT_FDCWD, target, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC],
      ["open_tree", target],
    );
    return new OpenFile(fd as Fd, target);
  } catch (error) {
    if (isErrno(error, "ENOSYS", "EPERM", "EINVAL")) {
      return undefined;
    }
    throw error;
  }
}

/** Puts such a copy where it came from. */
export function attachMount(mount: OpenFile): void {
  const args = [SYS_MOVE_MOUNT, mount.fd, "", AT_FDCWD, mount.path, MOVE_MOUNT_F_EMPTY_PATH];
  call("move_mount", args, ["move_mount", mount.path]);
}
