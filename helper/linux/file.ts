import { type BigIntStats, close, constants, fstat, fstatSync, fsync, open, openSync } from "node:fs";
import { promisify } from "node:util";
import { type Devnum, devnum } from "./devnum";
import { asKernelError, errnoName, KernelError, withErrno } from "./errno";
import { attempt, call, callAsync, type Fd } from "./libc";
import { noteClosing, noteOpen } from "./openHere";
import { mayWait } from "./thread";

// What can take long goes by Node's own calls: they cost half of what koffi's asynchronous ones do.
const openAsync = promisify(open);
const closeAsync = promisify(close);
const fstatAsync = promisify(fstat);
const fsyncAsync = promisify(fsync);

const { O_RDONLY, O_RDWR, O_NONBLOCK, O_NOCTTY, O_NOFOLLOW, O_EXCL, O_DIRECT } = constants;
// Not among Node's constants; the same numbers on x86 and ARM (<asm-generic/fcntl.h>).
const O_CLOEXEC = 0o2000000;
const O_PATH = 0o10000000;

export { O_CLOEXEC, O_DIRECT, O_EXCL, O_PATH, O_RDONLY, O_RDWR };

// <sys/file.h>
const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;

/** What doesn't change of a file while it is open: which one it is, of what kind, and which device it stands for. */
export type Identity = Pick<BigIntStats, "dev" | "ino" | "rdev" | "isFile" | "isBlockDevice">;

/** An open file that is closed by the scope that opened it: `using` where closing is quick, `await using` where not. */
export class OpenFile implements Disposable, AsyncDisposable {
  #closed = false;
  #identity: Identity | undefined;

  constructor(
    readonly fd: Fd,
    readonly path: string,
  ) {
    noteOpen(fd);
  }

  /** What the descriptor really refers to, whatever has become of the path since. */
  stat(): BigIntStats {
    return withErrno("fstat", this.path, () => fstatSync(this.fd, { bigint: true }));
  }

  /** As `stat`, asked for once. */
  identity(): Identity {
    this.#identity ??= this.stat();
    return this.#identity;
  }

  /** As `stat`, for a file on a server that may have stopped answering. */
  async statPatiently(): Promise<BigIntStats> {
    return mayWait ? this.stat() : await asKernelErrors("fstat", this.path, fstatAsync(this.fd, { bigint: true }));
  }

  /** The number of the device that is open. */
  devnum(): Devnum {
    return devnum(this.identity().rdev);
  }

  /** Takes an exclusive BSD lock if nobody holds one, and says whether it did. It never waits. */
  tryLock(): boolean {
    const what = ["flock", this.path] as const;
    const result = attempt("flock", [this.fd, LOCK_EX | LOCK_NB], what);
    const errno = result < 0 ? errnoName(-result) : undefined;
    if (errno !== undefined && errno !== "EAGAIN") {
      throw new KernelError(errno, ...what);
    }
    return errno === undefined;
  }

  /**
   * Takes an exclusive BSD lock once nobody else holds one. The thread that is blocked in flock(2) can't be got back: the
   * file is to stay open until it has come, and the process can't end by exit(3), which waits for all threads.
   */
  async lock(): Promise<void> {
    await callAsync("flock", [this.fd, LOCK_EX], ["flock", this.path]);
  }

  /** Lets go of the lock, for a file that stays open. */
  unlock(): void {
    call("flock", [this.fd, LOCK_UN], ["flock", this.path]);
  }

  /** fsync(2): waits until all that was written is on stable storage. */
  async sync(): Promise<void> {
    await asKernelErrors("fsync", this.path, fsyncAsync(this.fd));
  }

  [Symbol.dispose](): void {
    if (!this.#closed) {
      this.#closed = true;
      noteClosing(this.fd);
      call("close", [this.fd], ["close", this.path]);
    }
  }

  /** The last close of a detached loop device does the detaching: it can take 100 to 300 ms. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (mayWait) {
      this[Symbol.dispose]();
    } else if (!this.#closed) {
      this.#closed = true;
      await asKernelErrors("close", this.path, closeAsync(this.fd));
    }
  }
}

// O_NONBLOCK: neither a FIFO nor a drive without medium may hold us up.
const always = O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

/** How to open what is read from only to ask what it is. */
export const READ_BRIEFLY = O_RDONLY | O_NOFOLLOW | always;

/** Opens a file that can't keep us waiting: a regular one, or a node that isn't a device in use. */
export function openFile(path: string, flags: number): OpenFile {
  return new OpenFile(call("open", [path, flags | always, 0], ["open", path]) as Fd, path);
}

// The same on every architecture, since Linux 5.6; <linux/openat2.h>
const OPENAT2 = 437;
const AT_FDCWD = -100;
const RESOLVE_NO_SYMLINKS = 4;
/** `struct open_how`: flags, mode, resolve; 64 bits each, of which the upper halves have no use yet. */
const OPEN_HOW_SIZE = 24;
const withoutLinks = Buffer.alloc(OPEN_HOW_SIZE);
withoutLinks.writeUInt32LE(RESOLVE_NO_SYMLINKS, 16);

/**
 * Opens what stands at a path that leads through no links: whoever owns a folder on the way can't lead it to anything
 * that isn't in theirs. @throws KernelError ELOOP where there is one, ENOSYS before Linux 5.6
 */
export function openWithoutLinks(path: string, flags: number): OpenFile {
  // What means nothing for a path alone, openat2 refuses.
  withoutLinks.writeUInt32LE(flags & O_PATH ? flags | O_CLOEXEC : flags | always, 0);
  const args = [OPENAT2, AT_FDCWD, path, withoutLinks, OPEN_HOW_SIZE];
  return new OpenFile(call("openat2", args, ["openat2", path]) as Fd, path);
}

// Since Linux 5.12.
const RESOLVE_CACHED = 0x20;
const cached = Buffer.alloc(OPEN_HOW_SIZE);
cached.writeUInt32LE(O_PATH | O_CLOEXEC, 0);
cached.writeUInt32LE(RESOLVE_CACHED, 16);

/**
 * What stands at a path, not to be read; `undefined` where that can't be told from what the kernel has in memory, so that
 * no disk and no server has to be waited for.
 */
export function findIfCached(path: Buffer): OpenFile | undefined {
  const name = path.toString();
  const terminated = Buffer.concat([path, Buffer.alloc(1)]);
  const fd = attempt("openat2Bytes", [OPENAT2, AT_FDCWD, terminated, cached, OPEN_HOW_SIZE], ["openat2", name]);
  return fd < 0 ? undefined : new OpenFile(fd as Fd, name);
}

/** Opens a device. That waits for the device's own lock, which a detach can hold for as long as it writes. */
export async function openDevice(path: string, flags: number): Promise<OpenFile> {
  if (path.includes("\0")) {
    throw new KernelError("EINVAL", "open", path);
  }
  return await openAnything(path, flags);
}

/** As `openDevice`, by a path that need not be text. */
export async function openAnything(path: string | Buffer, flags: number): Promise<OpenFile> {
  const name = path.toString();
  if (mayWait) {
    return new OpenFile(withErrno("open", name, () => openSync(path, flags | always)) as Fd, name);
  }
  return new OpenFile((await asKernelErrors("open", name, openAsync(path, flags | always))) as Fd, name);
}

async function asKernelErrors<T>(call: string, target: string, result: Promise<T>): Promise<T> {
  try {
    return await result;
  } catch (error) {
    throw asKernelError(error, call, target);
  }
}
