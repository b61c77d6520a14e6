/*
 * Word of changes. Nothing is asked for on a timer: the kernel says itself that a block device or a mount has changed,
 * and while it says nothing, this takes no time at all.
 */
import type { KernelError } from "./linux/errno";
import { O_RDONLY, openFile } from "./linux/file";
import { deviceUnder, readMounts } from "./linux/mountinfo";
import { POLLIN, POLLPRI, watch } from "./linux/poll";
import { openUeventSocket, readUevents } from "./linux/uevent";

/** What comes within so many milliseconds is told as one change. */
const GROUPING = 50;

/** Tells whoever wants to know that the picture of devices has changed. */
export class Changes implements Disposable {
  #timer: NodeJS.Timeout | undefined;
  #mounts = relevantMounts();
  readonly #watch: Disposable;

  /**
   * @param tell called at most once in 50 ms
   * @param failed called where the kernel's word can't be had any more
   */
  constructor(
    readonly tell: () => void,
    failed: (error: KernelError | unknown) => void,
  ) {
    const socket = openUeventSocket();
    const mountinfo = openFile("/proc/self/mountinfo", O_RDONLY);
    this.#watch = watch(
      [
        { file: socket, events: POLLIN, ready: () => this.#uevents(readUevents(socket)) },
        { file: mountinfo, events: POLLPRI, ready: () => this.#mountsChanged() },
      ],
      failed,
      GROUPING,
    );
  }

  /** To be called where we have changed something that the kernel says nothing of. */
  noticed(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.tell();
    }, GROUPING);
  }

  #uevents({ paths, lost }: ReturnType<typeof readUevents>): void {
    if (lost || paths.some(isOurs)) {
      this.noticed();
    }
  }

  #mountsChanged(): void {
    const mounts = relevantMounts();
    if (mounts !== this.#mounts) {
      this.#mounts = mounts;
      this.noticed();
    }
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#watch[Symbol.dispose]();
  }
}

// Loop and device-mapper devices, their partitions, and what stands on them (md and the like show as block devices).
function isOurs(path: string): boolean {
  return /\/block\/(loop|dm-|md)\d/.test(path);
}

// Tens of thousands of mounts are common on container hosts, and most are of no device of ours.
function relevantMounts(): string {
  return readMounts()
    .filter((mount) => /^\/dev\/(loop|dm-|mapper\/|md)/.test(mount.source) && deviceUnder(mount) !== undefined)
    .map((mount) => `${mount.devnum} ${mount.target} ${mount.options} ${mount.superOptions}`)
    .join("\n");
}
