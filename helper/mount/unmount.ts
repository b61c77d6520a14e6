/* Unmounting several mounts as one. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Devnum } from "../linux/devnum";
import { isErrno, type KernelError } from "../linux/errno";
import type { OpenFile } from "../linux/file";
import { deviceUnder, type MountEntry, readMounts } from "../linux/mountinfo";
import { devnumOf, diskFolder, nameOf, partitionsOf } from "../linux/sysfs";
import { orCancelled, throwIfCancelled } from "../pause";
import { Problem } from "../problem";
import type { User } from "../protocol";
import { usersOf } from "../users";
import type { Work } from "../work";
import { MountPlace } from "./place";
import { syncFileSystem } from "./sync";

/** How often and how long apart it is tried again, for those who only have a quick look; milliseconds. */
const ATTEMPTS = 6;
const PAUSE = 50;

/**
 * Unmounts all that is mounted of a disk and its partitions, the last mounted first: all of it or nothing.
 *
 * @throws Problem busy, with the users, where files are open on one of them
 */
export async function unmountAll(disk: string, work: Work): Promise<void> {
  const own = devnumOf(diskFolder(disk));
  const numbers = new Set<Devnum>(partitionsOf(disk).map(({ devnum }) => devnum));
  if (own !== undefined) {
    numbers.add(own);
  }
  const mounts = readMounts().filter((mount) => {
    // Most mounts of a system have no device under them at all.
    const device = deviceUnder(mount);
    return device !== undefined && numbers.has(device);
  });
  await unmountTogether(mounts.reverse(), false, work);
}

/** The disk of a partition, by the kernel's names: "loop3" of "loop3p1", and of itself. */
export function diskOfPart(name: string): string {
  return name.replace(/^(loop\d+)p\d+$/, "$1");
}

/**
 * Unmounts in this order: all of it or, where one is in use, nothing. Of each mount a copy is kept aside until the last
 * has gone, so that it can be put back.
 *
 * @param lazy take them out of sight at once, whoever uses them
 * @throws Problem busy, with the users; Cancelled, and then all stays mounted
 */
export async function unmountTogether(mounts: readonly MountEntry[], lazy: boolean, work: Work): Promise<void> {
  if (!lazy) {
    // Unmounting writes, too, but can't be stopped then. What can't be written is no reason to stay mounted.
    work.report("Writing what is not on the disk yet");
    for (const target of new Set(mounts.map(({ target }) => target))) {
      await orCancelled(
        syncFileSystem(target).catch(() => {}),
        work.signal,
      );
    }
  }
  work.report("Unmounting");
  const done: { place: MountPlace; copy: OpenFile | undefined }[] = [];
  try {
    for (const mount of mounts) {
      throwIfCancelled(work.signal);
      const place = new MountPlace(mount);
      const entry = { place, copy: undefined as OpenFile | undefined };
      done.push(entry);
      if (!place.isOnTop()) {
        throw new Problem("busy", `Something else is mounted over ${mount.target}. Unmount that first.`, {
          users: [{ kind: "mount", target: mount.target }],
        });
      }
      const copy = lazy ? undefined : place.copy();
      try {
        await unmountPatiently(place, lazy);
        entry.copy = copy;
      } catch (error) {
        await copy?.[Symbol.asyncDispose]();
        throw isErrno(error, "EBUSY") ? await busy(mount, error) : error;
      }
    }
  } catch (error) {
    for (const { place, copy } of done.reverse()) {
      putBack(place, copy);
    }
    throw error;
  } finally {
    for (const { place, copy } of done) {
      place[Symbol.dispose]();
      // The last reference to a file system: it is written out now, which can take its time.
      await copy?.[Symbol.asyncDispose]();
    }
  }
}

async function unmountPatiently(place: MountPlace, lazy: boolean): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await place.unmount(lazy);
      return;
    } catch (error) {
      if (!isErrno(error, "EBUSY") || attempt === ATTEMPTS) {
        throw error;
      }
      await sleep(PAUSE);
    }
  }
}

// All that can be: one whose place is gone must not keep the others from theirs.
function putBack(place: MountPlace, copy: OpenFile | undefined): void {
  try {
    if (copy) {
      place.putBack(copy);
    }
  } catch (error) {
    process.stderr.write(`${place.mount.target} could not be mounted again: ${error}\n`);
  }
}

async function busy(mount: MountEntry, cause: KernelError): Promise<Problem> {
  const { target } = mount;
  const device = deviceUnder(mount);
  const name = device === undefined ? "" : (nameOf(device) ?? "");
  const below = readMounts().filter((other) => other.target.startsWith(`${target}/`));
  const users: User[] = [
    ...below.map((other): User => ({ kind: "mount", target: other.target })),
    ...(await usersOf(diskOfPart(name), { onMounts: true })).filter(({ kind }) => kind !== "mount"),
  ];
  const who = users.map(inWords).join(", ");
  const why = who === "" ? "Close what has files on it open" : `It is used by ${who}. Close that`;
  return Problem.of("busy", `${target} is in use, so it stays mounted. ${why}, then try again.`, cause, { users });
}

function inWords(user: User): string {
  switch (user.kind) {
    case "mount":
      return `what is mounted at ${user.target}`;
    case "holder":
      return user.device;
    case "process":
      return `${user.command} (process ${user.pid})`;
  }
}
