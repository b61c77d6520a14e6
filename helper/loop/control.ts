/*
 * The loop driver's control device and the lock on it. Whoever takes a free device holds the lock from asking for its
 * number until it is bound, and whoever takes a device away holds it meanwhile: systemd and others do the same, while
 * losetup takes no lock at all, so that a device may still be lost to it in between.
 *
 * The order of locks is fixed: control device first, block device second. Nobody sleeps with this lock held.
 */
import { isErrno } from "../linux/errno";
import { O_RDWR, type OpenFile, openFile } from "../linux/file";
import { flockHolder } from "../linux/locks";
import { LOOP_CONTROL } from "../linux/loop";
import { poll, throwIfCancelled } from "../pause";
import { Problem } from "../problem";

/** Nobody holds it for longer than a few milliseconds, and one who has kept it for so many is stuck. */
const LOCK_LIMIT = 30_000;
/** How often it is looked who holds it, in milliseconds. */
const LOOK = 1000;
/** The longest pause between two attempts, in milliseconds. With half of it, 32 helpers were busy with waiting. */
const LONGEST_PAUSE = 32;
/** Who has waited for so many milliseconds tries more often, so that none waits for ever while others come and go. */
const PATIENCE = 500;
const SHORT_PAUSE = 4;

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

// A queue within this process: polling the lock among ourselves would waste time.
let last: Promise<unknown> = Promise.resolve();

/** Runs `body` with the control device open and locked. It must not wait for anything that others do. */
export function withControl<T>(signal: AbortSignal, body: (control: OpenFile) => Promise<T>): Promise<T> {
  const turn = last.then(async () => {
    throwIfCancelled(signal);
    using control = openControl();
    await lock(control, signal);
    return await body(control);
  });
  last = turn.catch(() => {});
  return turn;
}

async function lock(control: OpenFile, signal: AbortSignal): Promise<void> {
  if (control.tryLock()) {
    return;
  }
  const begun = performance.now();
  let [holder, since, looked] = [undefined as string | undefined, begun, begun];
  await poll(() => {
    if (control.tryLock()) {
      return undefined;
    }
    const now = performance.now();
    if (now - looked > LOOK) {
      looked = now;
      // Where many want it, each of them waits for all of the others: only one who keeps it is in the way.
      const present = flockHolder(control);
      [holder, since] = present === holder ? [holder, since] : [present, now];
    }
    if (now - since > LOCK_LIMIT) {
      throw new Problem("busy", `Another program has kept ${LOOP_CONTROL} locked for ${LOCK_LIMIT / 1000} seconds.`, {
        users: [],
      });
    }
    const most = now - begun > PATIENCE ? SHORT_PAUSE : Math.min(LONGEST_PAUSE, 1 + now - begun);
    return Math.random() * most;
  }, signal);
}
