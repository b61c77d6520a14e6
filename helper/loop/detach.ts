/*
 * Detaching. LOOP_CLR_FD returning 0 proves nothing: while others have the device open it only makes the kernel detach
 * it when they close, and else the work is done when we close. What tells the two apart is the state right after: a
 * device that we alone have open is on its way out and can't be opened any more (LOOP_GET_STATUS64: ENXIO), any other
 * is still bound. So the kernel decides, without a race, and what it decided against is undone by taking autoclear away
 * again.
 */
import type { Caller } from "../caller";
import { diskSequence } from "../linux/block";
import { clearFd, clearFdAtOnce, LO_FLAGS_AUTOCLEAR, type LoopInfo, statusIfBound } from "../linux/loop";
import { diskFolder, readNumber } from "../linux/sysfs";
import { unmountAll } from "../mount/unmount";
import { forgetOwner } from "../owners";
import { forgetPartitions } from "../partition/forget";
import { orCancelled, pauseRandomly, retry, uninterrupted } from "../pause";
import { Problem } from "../problem";
import type { CheckedParams, Result, User } from "../protocol";
import { inWords, LOOK, lastingUsersOf, SWAP, usersOf } from "../users";
import type { Work } from "../work";
import { withControl } from "./control";
import { type BoundLoop, diskOf, numberOf, openOwned, underneathOf } from "./device";
import { type Ending, letGo, release } from "./held";
import { isLight, noteCleared } from "./light";
import { removeLoop } from "./remove";
import { changeSettings, withFlag } from "./settings";
import { isBound } from "./state";

/** How long one is waited for who can't be seen, or keeps the device locked, in milliseconds. */
const PATIENCE = 2000;
/** And how often it is tried at least: where many attach and detach, each try waits for its turn. */
const TRIES = 10;
const LONGEST_PAUSE = 50;
/** How long the kernel may take after our close until the device is seen to be gone. */
const PROOF_LIMIT = 10_000;

type Wish = CheckedParams<"loop/detach">;

/**
 * Detaches a device for the caller.
 * @throws Problem busy, with the users, where it is in use and is not to be let go of later; then it is as it was
 */
export async function detach(wish: Wish, caller: Caller, work: Work): Promise<Result<"loop/detach">> {
  const disk = diskOf(numberOf(wish.device));
  const opening = openOwned(wish, caller);
  // Most refusals need nothing to be tried: what is mounted or stood on is known, and is looked for while it is opened.
  const looking = wish.whenBusy === "refuse" ? usersOf(disk, { openers: false, loops: false }) : undefined;
  looking?.catch(() => {});
  const { loop, info, sequence } = await opening;
  let outcome: Result<"loop/detach">;
  let end = "close" as Ending;
  try {
    await freeOfUsers(wish, disk, (await looking) ?? [], work);
    work.report("Writing what is not on the disk yet");
    // Where nobody waits for it any more, it goes on: the kernel keeps the device open for it.
    await orCancelled(loop.sync(), work.signal);
    const wasHeld = await release(disk);
    try {
      const cleared = await clear({ loop, info, sequence, disk }, wish, work.signal);
      outcome = cleared.outcome;
      if (outcome.state === "detached") {
        end = cleared.light ? "closeAtOnce" : "close";
        // Before we close, and the device is free for others: what they note of it isn't ours to delete.
        forgetOwner(wish.device);
      }
    } catch (error) {
      end = wasHeld ? "hold" : "close";
      throw error;
    }
  } finally {
    await letGo(disk, loop, end);
  }
  if (outcome.state === "detached") {
    await proveGone(disk, sequence);
    if (wish.remove) {
      await removeDetached(wish.device, work.signal);
    }
  }
  return outcome;
}

async function freeOfUsers(
  { device, whenBusy }: Wish,
  disk: string,
  known: readonly User[],
  work: Work,
): Promise<void> {
  if (known.length > 0) {
    // Who decides how to go on wants to know of those, too, that would keep it from being unmounted.
    refuse(device, known, await usersOf(disk, { openers: false, onMounts: true }));
  }
  if (whenBusy === "unmount") {
    // Where more than mounts is in the way, they had better stay.
    const users = await lastingUsersOf(disk, work.signal);
    refuseIfUsed(
      device,
      users.filter((user) => user.kind !== "mount" || user.target === SWAP),
    );
    await unmountAll(disk, work);
  }
}

function refuseIfUsed(device: string, users: User[]): void {
  if (users.length > 0) {
    refuse(device, users, users);
  }
}

function refuse(device: string, named: readonly User[], users: User[]): never {
  throw new Problem("busy", `${device} is in use: ${inWords(named)}.`, { device, users });
}

/** The device that is to be detached, open and flushed. */
interface Leaving extends BoundLoop {
  disk: string;
}

interface Cleared {
  outcome: Result<"loop/detach">;
  /** Whether closing it takes no time: see light.ts. */
  light: boolean;
}

async function clear(leaving: Leaving, { device, whenBusy }: Wish, signal: AbortSignal): Promise<Cleared> {
  const { loop, disk } = leaving;
  const pending = (users: User[]): Cleared => ({ outcome: { state: "pending", users }, light: false });
  const began = performance.now();
  try {
    for (let attempt = 1; ; attempt++) {
      // With the control device locked, as whoever attaches then looks into devices, and would be one more opener.
      const state = await withControl(signal, () => clearIfAlone(leaving));
      if (state === "detached" || state === "lightly detached") {
        return { outcome: { state: "detached", users: [] }, light: state === "lightly detached" };
      }
      if (whenBusy !== "lazy") {
        await restoreAutoclear(leaving);
      }
      loop.unlock();
      const users = state === "used" ? await usersOf(disk, { onMounts: true }) : [];
      const waited = performance.now() - began;
      if (users.some(({ kind }) => kind !== "process") || (waited > LOOK && attempt >= TRIES)) {
        if (users.length > 0 && whenBusy === "lazy") {
          return pending(users);
        }
        refuseIfUsed(device, users);
      }
      if (waited > PATIENCE && attempt >= TRIES) {
        if (state === "used" && whenBusy === "lazy") {
          return pending(users);
        }
        const how = state === "used" ? "open by a program that can't be seen from here" : "locked by another program";
        throw new Problem("busy", `${device} is kept ${how}.`, { device, users: await usersOf(disk) });
      }
      await pauseRandomly(LONGEST_PAUSE, signal);
    }
  } catch (error) {
    await restoreAutoclear(leaving).catch(() => {});
    throw error;
  }
}

async function clearIfAlone(leaving: Leaving): Promise<"detached" | "lightly detached" | "used" | "locked"> {
  const { loop, disk, sequence } = leaving;
  if (!loop.tryLock()) {
    return "locked";
  }
  const light = isLight(disk, loop, sequence);
  if (light) {
    clearFdAtOnce(loop);
  } else {
    await clearFd(loop);
  }
  const now = statusIfBound(loop);
  if (now !== undefined) {
    // Before Linux 6.11 it was detached by the call. Though we have it open, it may be another program's by now.
    return isStill(leaving, now) ? "used" : "detached";
  }
  noteCleared(disk);
  // Only now: a device that stays keeps its partitions. Nobody can open it or them any more, udev included.
  await forgetPartitions(loop, disk);
  return light ? "lightly detached" : "detached";
}

/** Whether a device is bound as it was. @param now its state, which is read first */
function isStill({ loop, info, sequence }: Leaving, now: LoopInfo): boolean {
  return sequence === null ? now.inode === info.inode && now.device === info.device : diskSequence(loop) === sequence;
}

async function restoreAutoclear(leaving: Leaving): Promise<void> {
  const { loop, info: before } = leaving;
  const now = statusIfBound(loop);
  const on = (before.flags & LO_FLAGS_AUTOCLEAR) !== 0;
  if (now && ((now.flags & LO_FLAGS_AUTOCLEAR) !== 0) !== on && isStill(leaving, now)) {
    await changeSettings(loop, withFlag(now, LO_FLAGS_AUTOCLEAR, on), underneathOf(now), uninterrupted);
  }
}

// The sequence number grows when an image is taken off: even if another has been attached since, this one is gone.
// Kernels that have no such number detach before LOOP_CLR_FD returns, so that the ENXIO after it was the proof.
async function proveGone(disk: string, sequence: number | null): Promise<void> {
  if (sequence === null) {
    return;
  }
  const device = `/dev/${disk}`;
  await retry(() => !isBound(disk) || readNumber(`${diskFolder(disk)}/diskseq`) !== sequence || undefined, {
    limit: PROOF_LIMIT,
    signal: uninterrupted,
    expired: () => new Problem("kernel", `The kernel was told to detach ${device}, but keeps it.`, { device }),
  });
}

async function removeDetached(device: string, signal: AbortSignal): Promise<void> {
  try {
    await removeLoop(device, signal);
  } catch (error) {
    if (!(error instanceof Problem) || error.data.reason === "notFound") {
      throw error;
    }
    const { reason, ...data } = error.data;
    throw new Problem(reason, `${device} was detached, but the device itself stays: ${error.message}`, data);
  }
}
