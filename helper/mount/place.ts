/*
 * The place of a mount, by the folder that it is in rather than by its path: root unmounts and mounts again here, and
 * whoever owns a folder on the path could put a link in its stead meanwhile.
 */
import { basename, dirname } from "node:path";
import { isErrno, KernelError } from "../linux/errno";
import { type OpenFile, openFile } from "../linux/file";
import { cloneMount, placeMount, unmount } from "../linux/mount";
import { type MountEntry, mountIdOf } from "../linux/mountinfo";

const O_PATH = 0o10000000;
const O_DIRECTORY = 0o200000;
const O_NOFOLLOW = 0o400000;

export class MountPlace implements Disposable {
  readonly #parent: OpenFile;
  readonly #path: string;

  /** @throws KernelError EBUSY for the root of all, which has no place */
  constructor(readonly mount: MountEntry) {
    const name = basename(mount.target);
    if (name === "") {
      throw new KernelError("EBUSY", "umount2", mount.target);
    }
    this.#parent = openFile(dirname(mount.target), O_PATH | O_DIRECTORY);
    this.#path = `/proc/self/fd/${this.#parent.fd}/${name}`;
  }

  /** Whether this very mount is the one to be reached here: nothing is mounted over it, and its path leads to it. */
  isOnTop(): boolean {
    try {
      using top = openFile(this.#path, O_PATH | O_NOFOLLOW);
      return mountIdOf(top) === this.mount.id;
    } catch (error) {
      if (isErrno(error, "ENOENT", "ENOTDIR")) {
        return false;
      }
      throw error;
    }
  }

  /** A copy that is in no tree, to be put back; `undefined` before Linux 5.2. */
  copy(): OpenFile | undefined {
    return cloneMount(this.#path);
  }

  /** @throws KernelError EBUSY where it is in use; lazily it is taken out of sight even so */
  async unmount(lazy: boolean): Promise<void> {
    try {
      await unmount(this.#path, { lazy });
    } catch (error) {
      throw error instanceof KernelError ? new KernelError(error.errno, error.call, this.mount.target) : error;
    }
  }

  putBack(copy: OpenFile): void {
    using folder = openFile(this.#path, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    placeMount(copy, folder);
  }

  [Symbol.dispose](): void {
    this.#parent[Symbol.dispose]();
  }
}
