/*
 * Detaching. LOOP_CLR_FD returning 0 proves nothing: while others have the device open it only makes the kernel detach
 * it when they close, and else the work is done when we close. What tells the two apart is the state right after: a
 * device that we alone have open is on its way out and can't be opened any more (LOOP_GET_STATUS64: ENXIO), any other
 * is still bound. So the kernel decides, without a race, and what it decided against is undone by taking autoclear away
 * again.
 */
import type { Caller } from "../caller";
import { isErrno } from "../linux/errno";
import type { OpenFile } from "../linux/file";
import { clearFd, getStatus, LO_FLAGS_AUTOCLEAR, type LoopInfo } from "../linux/loop";
import { diskFolder, readNumber } from "../linux/sysfs";
import { unmountAll } from "../mount/unmount";
import { forgetOwner } from "../owners";
import { forgetPartitions } from "../partition/forget";
import { pauseRandomly, retry } from "../pause";
import { Problem } from "../problem";
import type { CheckedParams, Result, User } from "../protocol";
import { usersOf } from "../users";
import type { Work } from "../work";
import { diskOf, numberOf, openOwned } from "./device";
import { release } from "./held";
import { removeLoop } from "./remove";
import { changeSettings, withFlag } from "./settings";
import { isBound } from "./state";

/** How long those are waited for who only look at the device, as udev does, in milliseconds. */
const PATIENCE = 2000;
/** How long the kernel may take after our close until the device is seen to be gone. */
const PROOF_LIMIT = 10_000;

/**
 * Detaches a device for the caller.
 * @throws Problem busy, with the users, where it is in use and is not to be let go of later
 */
export async function detach(
  wish: CheckedParams<"loop/detach">,
  caller: Caller,
  work: Work,
): Promise<Result<"loop/detach">> {
  const disk = diskOf(numberOf(wish.device));
  const { loop, info } = await openOwned(wish, caller);
  const sequence = readNumber(`${diskFolder(disk)}/diskseq`);
  let outcome: Result<"loop/detach">;
  try {
    await release(disk);
    if (wish.whenBusy === "unmount") {
      work.report("Unmounting");
      await unmountAll(disk);
    } else if (wish.whenBusy === "refuse") {
      // Most refusals need nothing to be tried: what is mounted or stood on is known.
      refuseIfUsed(wish.device, await usersOf(disk, { processes: false }));
    }
    work.report("Writing what is not on the disk yet");
    await loop.sync();
    await lock(loop, disk, work.signal);
    outcome = await clear(loop, info, disk, wish, work.signal);
    if (outcome.state === "detached") {
      // Only now: a device that stays keeps its partitions. With the lock held, udev doesn't look at them meanwhile.
      await forgetPartitions(loop, disk);
    }
  } finally {
    await loop[Symbol.asyncDispose]();
  }
  if (outcome.state === "detached") {
    await proveGone(disk, sequence);
    forgetOwner(wish.device);
    if (wish.remove) {
      await removeLoop(wish.device, work.signal);
    }
  }
  return outcome;
}

async function lock(loop: OpenFile, disk: string, signal: AbortSignal): Promise<void> {
  await retry(() => (loop.tryLock() ? true : undefined), {
    limit: PATIENCE,
    signal,
    expired: async () =>
      new Problem("busy", `Another program keeps ${loop.path} locked.`, {
        device: loop.path,
        users: await usersOf(disk),
      }),
  });
}

function refuseIfUsed(device: string, users: User[]): void {
  if (users.length > 0) {
    throw new Problem("busy", `${device} is in use: ${users.map(inWords).join(", ")}.`, { device, users });
  }
}

function inWords(user: User): string {
  switch (user.kind) {
    case "mount":
      return user.target === "[SWAP]" ? "as swap space" : `mounted at ${user.target}`;
    case "holder":
      return `under ${user.device}`;
    case "process":
      return `open in ${user.command} (process ${user.pid})`;
  }
}

async function clear(
  loop: OpenFile,
  info: LoopInfo,
  disk: string,
  { device, whenBusy }: CheckedParams<"loop/detach">,
  signal: AbortSignal,
): Promise<Result<"loop/detach">> {
  const end = performance.now() + PATIENCE;
  for (;;) {
    await clearFd(loop);
    if (isOnItsWayOut(loop)) {
      return { state: "detached", users: [] };
    }
    const users = await usersOf(disk);
    if (whenBusy === "lazy" && users.length > 0) {
      return { state: "pending", users };
    }
    await changeSettings(
      loop,
      withFlag(info, LO_FLAGS_AUTOCLEAR, (info.flags & LO_FLAGS_AUTOCLEAR) !== 0),
      undefined,
      signal,
    );
    refuseIfUsed(device, users);
    if (performance.now() > end) {
      throw new Problem("busy", `${device} is kept open by a program that can't be seen from here.`, {
        device,
        users,
      });
    }
    await pauseRandomly(50, signal);
  }
}

function isOnItsWayOut(loop: OpenFile): boolean {
  try {
    getStatus(loop);
    return false;
  } catch (error) {
    if (isErrno(error, "ENXIO")) {
      return true;
    }
    throw error;
  }
}

// The sequence number grows when an image is taken off: even if another has been attached since, this one is gone.
async function proveGone(disk: string, sequence: number | undefined): Promise<void> {
  const device = `/dev/${disk}`;
  await retry(() => !isBound(disk) || readNumber(`${diskFolder(disk)}/diskseq`) !== sequence || undefined, {
    limit: PROOF_LIMIT,
    signal: new AbortController().signal,
    expired: () => new Problem("kernel", `The kernel was told to detach ${device}, but keeps it.`, { device }),
  });
}
