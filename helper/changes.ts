/*
 * Word of changes. Nothing is asked for on a timer: the kernel says itself that a block device or a mount has changed,
 * and while it says nothing, this takes no time at all.
 */
import type { KernelError } from "./linux/errno";
import { O_RDONLY, openFile } from "./linux/file";
import { deviceUnder, readMounts } from "./linux/mountinfo";
import { POLLIN, POLLPRI, watch } from "./linux/poll";
import { openUeventSocket, readUevents, setListening } from "./linux/uevent";

/** What comes within so many milliseconds is told as one change. */
const GROUPING = 50;
/**
 * While one change follows on the other, they are told less and less often, down to once in so many milliseconds. Who is
 * told asks for all devices again: with many helpers that and the telling was a third of what a busy machine did.
 */
const LONGEST_GROUPING = 400;

/** Tells whoever wants to know that the picture of devices has changed. */
export class Changes implements Disposable {
  #timer: NodeJS.Timeout | undefined;
  #grouping = GROUPING;
  #told = Number.NEGATIVE_INFINITY;
  readonly #socket = openUeventSocket();
  #mounts = relevantMounts();
  readonly #watch: Disposable;

  /**
   * @param tell called at most once in 50 ms, and less often where it is called again and again
   * @param failed called where the kernel's word can't be had any more
   */
  constructor(
    readonly tell: () => void,
    readonly failed: (error: KernelError | unknown) => void,
  ) {
    const socket = this.#socket;
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
    if (this.#timer) {
      return;
    }
    const goesOn = performance.now() - this.#told < 2 * GROUPING;
    this.#grouping = goesOn ? Math.min(2 * this.#grouping, LONGEST_GROUPING) : GROUPING;
    this.#timer = setTimeout(() => this.#tellNow(), this.#grouping);
    try {
      // It is going to be told anyway: until then, there is nothing to hear.
      setListening(this.#socket, false);
    } catch {
      // Then we hear more than we need.
    }
  }

  #tellNow(): void {
    this.#timer = undefined;
    try {
      readUevents(this.#socket);
      // First, so that nothing goes unheard that comes after we have told.
      setListening(this.#socket, true);
    } catch (error) {
      this.failed(error);
    }
    this.#told = performance.now();
    this.tell();
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
