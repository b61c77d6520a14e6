import { type BigIntStats, constants, fstatSync } from "node:fs";
import { type Devnum, devnum } from "./devnum";
import { KernelError, withErrno } from "./errno";
import { call, callAsync, type Fd } from "./libc";

const { O_RDONLY, O_RDWR, O_NONBLOCK, O_NOCTTY, O_EXCL, O_DIRECT } = constants;
// Not among Node's constants; the same number on x86 and ARM (<asm-generic/fcntl.h>).
const O_CLOEXEC = 0o2000000;

export { O_DIRECT, O_EXCL, O_RDONLY, O_RDWR };

// <sys/file.h>
const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;

/** An open file that is closed by the scope that opened it: `using` where closing is quick, `await using` where not. */
export class OpenFile implements Disposable, AsyncDisposable {
  #closed = false;

  constructor(
    readonly fd: Fd,
    readonly path: string,
  ) {}

  /** What the descriptor really refers to, whatever has become of the path since. */
  stat(): BigIntStats {
    return withErrno("fstat", this.path, () => fstatSync(this.fd, { bigint: true }));
  }

  /** The number of the device that is open. */
  devnum(): Devnum {
    return devnum(this.stat().rdev);
  }

  /**
   * Takes an exclusive BSD lock if nobody holds one, and says whether it did. It never waits: a thread blocked in
   * flock(2) can't be got back.
   */
  tryLock(): boolean {
    try {
      call("flock", [this.fd, LOCK_EX | LOCK_NB], ["flock", this.path]);
      return true;
    } catch (error) {
      if (error instanceof KernelError && error.errno === "EAGAIN") {
        return false;
      }
      throw error;
    }
  }

  /** Lets go of the lock, for a file that stays open. */
  unlock(): void {
    call("flock", [this.fd, LOCK_UN], ["flock", this.path]);
  }

  /** fsync(2): waits until all that was written is on stable storage. */
  async sync(): Promise<void> {
    await callAsync("fsync", [this.fd], ["fsync", this.path]);
  }

  [Symbol.dispose](): void {
    if (!this.#closed) {
      this.#closed = true;
      call("close", [this.fd], ["close", this.path]);
    }
  }

  /** The last close of a detached loop device does the detaching: it can take 100 to 300 ms. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      await callAsync("close", [this.fd], ["close", this.path]);
    }
  }
}

// O_NONBLOCK: neither a FIFO nor a drive without medium may hold us up.
const always = O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

/** Opens a file that can't keep us waiting: a regular one, or a node that isn't a device in use. */
export function openFile(path: string, flags: number): OpenFile {
  return new OpenFile(call("open", [path, flags | always, 0], ["open", path]) as Fd, path);
}

/** Opens a device. That waits for the device's own lock, which a detach can hold for as long as it writes. */
export async function openDevice(path: string, flags: number): Promise<OpenFile> {
  return new OpenFile((await callAsync("open", [path, flags | always, 0], ["open", path])) as Fd, path);
}
