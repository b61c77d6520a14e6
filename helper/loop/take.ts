/* Getting a device for an image: a free one, before anybody else takes it, or one that can be shared. */
import { isErrno } from "../linux/errno";
import { O_RDONLY, O_RDWR, type OpenFile, openDevice, openFile } from "../linux/file";
import { addDevice, getFree, statusIfBound } from "../linux/loop";
import { partitionsOf } from "../linux/sysfs";
import { forgetThese } from "../partition/forget";
import { pauseRandomly } from "../pause";
import { Problem } from "../problem";
import type { CheckedParams } from "../protocol";
import { type Binding, bind, complete, type Setup } from "./configure";
import { withControl } from "./control";
import { diskOf, numberOf, openLoop } from "./device";
import { type Extent, findOverlapping, findSame, type Overlap, overlapProblem } from "./overlap";
import { isBound } from "./state";

/** Others take devices as well, and losetup takes no lock. */
const TRIES = 64;
/** The longest pause after a lost race, in milliseconds; it grows up to this. */
const LONGEST_PAUSE = 100;
/** How often the kernel's choice of a free device may fail us until we have it make another. */
const STUCK = 8;
/** How long to wait for somebody who is setting up or taking down a device of the same image, in milliseconds. */
const UNSETTLED_LIMIT = 5000;

type Wish = CheckedParams<"loop/attach">;

/** A bound device, all set up, which goes when it is closed. */
export interface Taken {
  disk: string;
  /** Locked, which keeps udev and systemd off the device until it is as it should be. */
  loop: OpenFile;
}

/** Told of every device that is to be bound, and whether it has come to that. */
export interface Witness {
  aboutToBind(loop: OpenFile): void;
  givenUp(loop: OpenFile): void;
}

/** What one try comes to, with the control device locked. */
type Try = (Taken & { binding: Binding }) | { same: Overlap } | "unsettled" | "lost";

/**
 * Gets hold of a free device and binds it to the image, or of the one that has the same image already where that may be
 * shared.
 * @throws Problem overlap, busy where none can be had, and whatever the setup can't be
 */
export async function take(
  wish: Wish,
  readOnly: boolean,
  first: Setup,
  extent: Extent,
  witness: Witness,
  signal: AbortSignal,
): Promise<Taken | { same: Overlap }> {
  let setup = first;
  const choice = new Choice();
  const settledBy = performance.now() + UNSETTLED_LIMIT;
  for (let attempt = 1; attempt <= TRIES; ) {
    const result = await withControl(signal, async (control): Promise<Try> => {
      if (wish.overlap !== "allow" && !wish.inMemory) {
        const met = await meetOverlap(wish, readOnly, extent, performance.now() < settledBy);
        if (met) {
          return met;
        }
      }
      const number = await numberFor(wish.device, control, choice);
      const grabbed = await grab(number, wish.device !== undefined, readOnly, setup, witness).catch((error) => {
        // What stands at the place of its node is in the way of this device alone.
        if (isBlocked(error) && wish.device === undefined && choice.hasAnother(number)) {
          return "lost" as const;
        }
        throw error;
      });
      if (grabbed === "lost") {
        choice.lost(number);
      }
      return grabbed;
    });
    if (typeof result === "string") {
      // Waiting for the same image is no lost race.
      attempt += result === "lost" ? 1 : 0;
    } else if ("same" in result) {
      return result;
    } else {
      const again = await completed(result, setup, witness, signal);
      if (again === "done") {
        return result;
      }
      setup = again === "lost" ? setup : again;
      attempt++;
    }
    await pauseRandomly((LONGEST_PAUSE * attempt) / TRIES, signal, 1);
  }
  throw new Problem(
    "busy",
    wish.device
      ? `${wish.device} can't be had: another program keeps it. Leave the choice to Diskloom.`
      : `No free loop device could be got in ${TRIES} tries: other programs take them first.`,
    { ...(wish.device ? { device: wish.device } : {}), users: [] },
  );
}

async function meetOverlap(
  wish: Wish,
  readOnly: boolean,
  extent: Extent,
  patient: boolean,
): Promise<{ same: Overlap } | "unsettled" | undefined> {
  const overlapping = await findOverlapping(extent);
  let same: Overlap | undefined;
  try {
    // What another helper is about to set up may not come to be, or come to be exactly what is wanted.
    if (patient && overlapping.some(({ unsettled }) => unsettled)) {
      return "unsettled";
    }
    same = wish.overlap === "share" ? findSame(overlapping, { ...wish, readOnly }) : undefined;
    if (!same && overlapping.length > 0) {
      throw overlapProblem(wish.path, overlapping);
    }
    return same && { same };
  } finally {
    await Promise.all(overlapping.filter((it) => it !== same).map(({ loop }) => loop[Symbol.asyncDispose]()));
  }
}

/** Which free device to try. */
class Choice {
  readonly #losses = new Map<number, number>();
  #spare: number | undefined;

  lost(number: number): void {
    this.#losses.set(number, (this.#losses.get(number) ?? 0) + 1);
  }

  /** Whether another may be chosen next. */
  hasAnother(number: number): boolean {
    return number !== this.#spare;
  }

  // One that is unbound, but with a partition in use, or locked, or without a node to be had, the kernel would offer for
  // ever. A single one is made for that: were it lost as well, more would not help.
  async free(control: OpenFile): Promise<number> {
    const offered = getFree(control);
    if ((this.#losses.get(offered) ?? 0) < STUCK) {
      return offered;
    }
    this.#spare ??= await addDevice(control, -1);
    return this.#spare;
  }
}

async function numberFor(device: string | undefined, control: OpenFile, choice: Choice): Promise<number> {
  if (device === undefined) {
    return choice.free(control);
  }
  const number = numberOf(device);
  try {
    await addDevice(control, number);
  } catch (error) {
    if (isErrno(error, "EINVAL", "ENOSPC")) {
      throw Problem.of("invalid", `The kernel can't have a loop device of the number ${number}.`, error, { device });
    }
    if (!isErrno(error, "EEXIST")) {
      throw error;
    }
  }
  if (isBound(diskOf(number))) {
    throw new Problem("busy", `${device} is attached to another image. Leave the choice to Diskloom, or detach it.`, {
      device,
      users: [],
    });
  }
  return number;
}

/** Binds the device of this number; "lost" where somebody else was quicker or it has to be another one. */
async function grab(
  number: number,
  asked: boolean,
  readOnly: boolean,
  setup: Setup,
  witness: Witness,
): Promise<(Taken & { binding: Binding }) | "lost"> {
  const disk = diskOf(number);
  let opened: OpenFile | undefined;
  // The kernel calls a device free when all is done that had to be: opening it keeps nobody waiting. One that was asked
  // for by name may be on its way out.
  const open = asked ? openDevice : openFile;
  try {
    const loop = await openLoop(number, readOnly ? O_RDONLY : O_RDWR, open);
    opened = loop;
    if (!loop.tryLock()) {
      return "lost";
    }
    const stale = partitionsOf(disk);
    if (stale.length > 0) {
      if (!statusIfBound(loop)) {
        await forgetThese(loop, disk, stale, 0);
      }
      // Having had to clean up counts as a try: the kernel may still be at it.
      return "lost";
    }
    const binding = await bindBefore(witness, loop, setup);
    if (!binding) {
      return "lost";
    }
    opened = undefined;
    return { disk, loop, binding };
  } catch (error) {
    if (isTransient(error)) {
      return "lost";
    }
    throw error;
  } finally {
    await opened?.[Symbol.asyncDispose]();
  }
}

async function bindBefore(witness: Witness, loop: OpenFile, setup: Setup): Promise<Binding | undefined> {
  let binding: Binding | undefined;
  witness.aboutToBind(loop);
  try {
    binding = await bind(loop, setup);
    return binding;
  } finally {
    if (!binding) {
      witness.givenUp(loop);
    }
  }
}

/** Has a bound device set up. @returns "done", or why it was given up: the setup to try with next, or "lost" */
async function completed(
  { disk, loop, binding }: Taken & { binding: Binding },
  setup: Setup,
  witness: Witness,
  signal: AbortSignal,
): Promise<"done" | "lost" | Setup> {
  let kept = false;
  try {
    const again = await complete(disk, loop, setup, binding, signal);
    kept = again === undefined;
    return again ?? "done";
  } catch (error) {
    if (isTransient(error)) {
      return "lost";
    }
    throw error;
  } finally {
    if (!kept) {
      witness.givenUp(loop);
      await loop[Symbol.asyncDispose]();
    }
  }
}

function isBlocked(error: unknown): boolean {
  return error instanceof Problem && error.data.errno === "EEXIST";
}

// Somebody else bound the device, took it away, or both.
function isTransient(error: unknown): boolean {
  return (
    isErrno(error, "EBUSY", "ENODEV", "ENXIO", "ENOENT", "EUCLEAN") ||
    (error instanceof Problem && (error.data.reason === "stale" || error.data.reason === "notFound"))
  );
}
