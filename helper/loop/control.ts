/*
 * The loop driver's control device and the lock on it. Whoever takes a free device holds the lock from asking for its
 * number until it is bound, and whoever takes a device away holds it meanwhile: systemd and others do the same, while
 * losetup takes no lock at all, so that a device may still be lost to it in between.
 *
 * The order of locks is fixed: control device first, block device second. Nobody sleeps with this lock held.
 */
import { isErrno } from "../linux/errno";
import { O_RDWR, type OpenFile, openFile } from "../linux/file";
import { call } from "../linux/libc";
import { flockHolder } from "../linux/locks";
import { LOOP_CONTROL } from "../linux/loop";
import { orCancelled, throwIfCancelled } from "../pause";
import { Problem } from "../problem";

/** Nobody holds it for longer than a few milliseconds, and one who has kept it for so many is stuck. */
const LOCK_LIMIT = 30_000;
/** How often it is looked who holds it, in milliseconds. */
const LOOK = 1000;

export function openControl(): OpenFile {
  try {
    return openFile(LOOP_CONTROL, O_RDWR);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENODEV", "ENXIO")) {
      throw Problem.of(
        "unsupported",
        `There is no ${LOOP_CONTROL} here. Load the kernel's loop driver ("modprobe loop"), or give the container its devices.`,
        error,
      );
    }
    throw error;
  }
}

// A queue within this process: one of us waits for the lock, the others for that one.
let last: Promise<unknown> = Promise.resolve();

/** Runs `body` with the control device open and locked. It must not wait for anything that others do. */
export function withControl<T>(signal: AbortSignal, body: (control: OpenFile) => Promise<T>): Promise<T> {
  const turn = last.then(async () => {
    throwIfCancelled(signal);
    using control = await lockedControl(signal);
    return await body(control);
  });
  last = turn.catch(() => {});
  return turn;
}

async function lockedControl(signal: AbortSignal): Promise<OpenFile> {
  if (!coming) {
    const control = openControl();
    try {
      if (control.tryLock()) {
        return control;
      }
    } catch (error) {
      control[Symbol.dispose]();
      throw error;
    }
    coming = new Coming(control);
  }
  const { control, locked } = coming;
  coming.isWanted = true;
  try {
    await orCancelled(unlessKept(control, locked), signal);
    return control;
  } catch (error) {
    if (coming) {
      coming.isWanted = false;
    } else {
      control[Symbol.dispose]();
    }
    throw error;
  }
}

/**
 * A lock that a thread of ours waits for in flock(2), behind those who came before it: who only tries now and then is
 * overtaken again and again. It comes even where nobody wants it any more; until then it is there for the next of us.
 */
class Coming {
  isWanted = false;
  readonly locked: Promise<void>;

  constructor(readonly control: OpenFile) {
    process.on("exit", leaveAtOnce);
    this.locked = control.lock().finally(() => {
      process.off("exit", leaveAtOnce);
      coming = undefined;
      if (!this.isWanted) {
        control[Symbol.dispose]();
      }
    });
  }
}

let coming: Coming | undefined;

/** exit(3) would wait for the thread, and so for whoever holds the lock. */
function leaveAtOnce(code: number): void {
  call("_exit", [code], ["_exit", ""]);
}

/** @throws Problem busy, where one and the same process keeps the lock for too long */
async function unlessKept(control: OpenFile, locked: Promise<void>): Promise<void> {
  let holder: string | undefined;
  let since = performance.now();
  let looking: NodeJS.Timeout | undefined;
  const kept = new Promise<never>((_, reject) => {
    looking = setInterval(() => {
      try {
        const now = performance.now();
        // Where many want it, each of them waits for all of the others: only one who keeps it is in the way.
        const present = flockHolder(control);
        [holder, since] = present === holder ? [holder, since] : [present, now];
        if (now - since > LOCK_LIMIT) {
          const seconds = LOCK_LIMIT / 1000;
          throw new Problem("busy", `Another program has kept ${LOOP_CONTROL} locked for ${seconds} seconds.`, {
            users: [],
          });
        }
      } catch (error) {
        reject(error);
      }
    }, LOOK);
  });
  try {
    await Promise.race([locked, kept]);
  } finally {
    clearInterval(looking);
  }
}
