/*
 * What was mounted through us for whom, and which folders were made for it: kept where only root can write, so that it
 * outlives the helper, but nothing outlives a boot, just as mounts don't. One file for each user, who may have several
 * helpers: a lock keeps them from taking each other's folders away.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmdirSync, writeFileSync } from "node:fs";
import * as v from "valibot";
import type { Caller } from "../caller";
import type { Devnum } from "../linux/devnum";
import { asKernelError, isErrno, withErrno } from "../linux/errno";
import { OpenFile } from "../linux/file";
import { call, type Fd } from "../linux/libc";
import { deviceUnder, type MountEntry, readMounts } from "../linux/mountinfo";
import { retry, throwIfCancelled, uninterrupted } from "../pause";
import { Problem } from "../problem";
import type { Work } from "../work";
import { sequenceOf } from "./device";

const FOLDER = "/run/diskloom";
// Detaching unmounts with the lock held, and that takes as long as writing what is not on the disk yet.
const LOCK_LIMIT = 60_000;
const O_CREAT_RDWR_NOFOLLOW_CLOEXEC = 0o100 | 0o2 | 0o400000 | 0o2000000;

const Entry = v.object({
  target: v.string(),
  /** Whether the folder was made for this mount, and goes with it. */
  made: v.boolean(),
  devnum: v.string(),
  diskSequence: v.nullable(v.number()),
  id: v.nullable(v.number()),
});

/** A mount that is the caller's. */
export interface Booked {
  target: string;
  made: boolean;
  devnum: Devnum;
  diskSequence: number | null;
  /** The mount's own; none while it is being made. */
  id: number | null;
}

/** A user's mounts. */
export class MountBook {
  private constructor(
    private readonly file: string,
    private entries: Booked[],
  ) {}

  static open(caller: Caller): MountBook {
    const file = fileOf(caller);
    return new MountBook(file, read(file));
  }

  add(entry: Booked): void {
    this.#write([...this.entries, entry]);
  }

  /** The mount is there now; its folder may have been moved. */
  complete(entry: Booked, { id, target }: MountEntry): void {
    this.#write(this.entries.map((other) => (other === entry ? { ...entry, id, target } : other)));
  }

  remove({ target }: Booked): void {
    this.#write(this.entries.filter((entry) => entry.target !== target));
  }

  /** Whether a mount was made through us for this user, and is still that one. */
  has(mount: MountEntry): boolean {
    return this.entries.some((entry) => isThat(entry, mount));
  }

  /** Whether there is something to sweep. */
  isOutdated(): boolean {
    const mounts = this.entries.length > 0 ? readMounts() : [];
    return this.entries.some((entry) => !mounts.some((mount) => isThat(entry, mount)));
  }

  /** Forgets what isn't mounted any more, however it was unmounted, and takes away the folders that were made for it. */
  sweep(): void {
    const mounts = readMounts();
    const left = this.entries.filter((entry) => mounts.some((mount) => isThat(entry, mount)) || !goesAway(entry));
    if (left.length < this.entries.length) {
      this.#write(left);
    }
  }

  #write(entries: Booked[]): void {
    const draft = `${this.file}.${process.pid}`;
    withErrno("write", this.file, () => {
      writeFileSync(draft, JSON.stringify(entries), { mode: 0o644 });
      renameSync(draft, this.file);
    });
    this.entries = entries;
  }
}

// A mount whose folder was moved has another target, and one that was put back after an unmount has another id.
function isThat(entry: Booked, mount: MountEntry): boolean {
  return (
    (entry.target === mount.target || entry.id === mount.id) &&
    entry.devnum === deviceUnder(mount) &&
    entry.diskSequence === sequenceOf(entry.devnum)
  );
}

// A folder that somebody has put something into or mounted something on is not ours any more to take away; while
// something else is mounted there, it may still be one day.
function goesAway({ made, target }: Booked): boolean {
  if (!made) {
    return true;
  }
  try {
    rmdirSync(target);
    return true;
  } catch (error) {
    return !isErrno(asKernelError(error, "rmdir", target), "EBUSY");
  }
}

function fileOf({ uid }: Caller): string {
  return `${FOLDER}/mounts-${uid}.json`;
}

function read(file: string): Booked[] {
  try {
    const entries = v.parse(v.array(Entry), JSON.parse(readFileSync(file, "utf8")));
    return entries.map((entry) => ({ ...entry, devnum: entry.devnum as Devnum }));
  } catch {
    // None there, or none of ours: nobody's mounts then, which is the careful answer.
    return [];
  }
}

/** Runs `body` with the caller's book, swept, that nobody else changes meanwhile. */
export async function withBook<T>(
  caller: Caller,
  signal: AbortSignal,
  body: (book: MountBook) => Promise<T>,
): Promise<T> {
  withErrno("mkdir", FOLDER, () => mkdirSync(FOLDER, { recursive: true, mode: 0o755 }));
  const path = `${FOLDER}/mounts-${caller.uid}.lock`;
  using lock = new OpenFile(call("open", [path, O_CREAT_RDWR_NOFOLLOW_CLOEXEC, 0o600], ["open", path]) as Fd, path);
  await retry(() => (lock.tryLock() ? true : undefined), {
    limit: LOCK_LIMIT,
    signal,
    expired: () => new Problem("busy", "Another mount or unmount of yours doesn't come to an end.", { users: [] }),
  });
  throwIfCancelled(signal);
  const book = MountBook.open(caller);
  book.sweep();
  return await body(book);
}

/**
 * For requests after which mounts may be gone: takes away the folders that were made for those.
 * @param unmounts whether the request unmounts itself: then the book is held meanwhile, as what is unmounted may be put
 *   back, and its folder has to be there still
 */
export async function sweepAfter<T>(caller: Caller, work: Work, unmounts: boolean, body: () => Promise<T>): Promise<T> {
  // Nothing was ever mounted for this user: there is nothing to take away.
  if (!existsSync(fileOf(caller))) {
    return await body();
  }
  if (unmounts) {
    return await withBook(caller, work.signal, async (book) => {
      try {
        return await body();
      } finally {
        book.sweep();
      }
    });
  }
  try {
    return await body();
  } finally {
    if (MountBook.open(caller).isOutdated()) {
      await withBook(caller, uninterrupted, async () => {}).catch((error) => process.stderr.write(`${error}\n`));
    }
  }
}
