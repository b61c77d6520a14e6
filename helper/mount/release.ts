/* `mount/unmount`: one mount by its target, or all of a device that are the caller's. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Caller } from "../caller";
import type { Devnum } from "../linux/devnum";
import { isErrno, type KernelError } from "../linux/errno";
import type { OpenFile } from "../linux/file";
import { deviceUnder, type MountEntry, readMounts } from "../linux/mountinfo";
import { devnumOf, diskFolder, nameOf, partitionsOf } from "../linux/sysfs";
import { openControl } from "../mapper/control";
import { findDevice } from "../mapper/device";
import { Problem } from "../problem";
import type { CheckedParams, User } from "../protocol";
import { usersOf } from "../users";
import type { Work } from "../work";
import { type MountBook, withBook } from "./book";
import { sequenceOf } from "./device";
import { MountPlace } from "./place";

/** How often and how long apart it is tried again, for those who only have a quick look; milliseconds. */
const ATTEMPTS = 6;
const PAUSE = 50;

type Wish = CheckedParams<"mount/unmount">;

/**
 * Unmounts for the caller: all that is asked for or, where one is in use, nothing. The folders that were made for the
 * mounts go with them.
 *
 * @throws Problem notFound, stale, busy with the users, notPermitted for what somebody else has mounted
 */
export async function unmountFor(wish: Wish, caller: Caller, work: Work): Promise<void> {
  await withBook(caller, work.signal, async (book) => {
    const mounts = choose(wish, book);
    work.report("Unmounting");
    try {
      await unmountTogether(mounts, wish.lazy);
    } finally {
      book.sweep();
    }
  });
}

// The last mounted first.
function choose(wish: Wish, book: MountBook): MountEntry[] {
  const all = wish.device === undefined ? mountsAt(wish.target ?? "") : mountsOf(wish.device, wish.diskSequence);
  const chosen = wish.confirmForeign ? all : all.filter((mount) => book.has(mount));
  const [first] = all;
  if (first && chosen.length === 0) {
    throw new Problem(
      "notPermitted",
      `${first.target} was mounted by the system or another program. Confirm that it may be unmounted.`,
      { foreign: true, users: [{ kind: "mount", target: first.target }] },
    );
  }
  return chosen.reverse();
}

function mountsAt(target: string): MountEntry[] {
  const top = readMounts().findLast((mount) => mount.target === target);
  const device = top && deviceUnder(top);
  // What is none of the devices that we show is none of our business.
  if (!top || device === undefined || !/^(loop|dm-)\d/.test(nameOf(device) ?? "")) {
    throw new Problem("notFound", `No loop or mapper device is mounted at ${target}.`);
  }
  return [top];
}

function mountsOf(device: string, diskSequence: number | null | undefined): MountEntry[] {
  const numbers = numbersOf(device);
  const [own] = numbers;
  const sequence = own === undefined ? null : sequenceOf(own);
  if (diskSequence != null && sequence !== null && diskSequence !== sequence) {
    throw new Problem("stale", `${device} has been detached or attached anew since. Nothing was changed.`, { device });
  }
  const mounts = readMounts().filter((mount) => {
    const under = deviceUnder(mount);
    return under !== undefined && numbers.includes(under);
  });
  if (mounts.length === 0) {
    throw new Problem("notFound", `${device} isn't mounted.`, { device });
  }
  return mounts;
}

/** The device and, of a whole disk, all its partitions. */
function numbersOf(device: string): Devnum[] {
  const name = device.slice("/dev/".length);
  if (!name.startsWith("loop")) {
    using control = openControl();
    return [findDevice(control, device).devnum];
  }
  const disk = diskOf(name);
  const own = devnumOf(disk === name ? diskFolder(disk) : `${diskFolder(disk)}/${name}`);
  const parts = disk === name ? partitionsOf(disk).map(({ devnum }) => devnum) : [];
  return own === undefined ? parts : [own, ...parts];
}

function diskOf(name: string): string {
  return name.replace(/^(loop\d+)p\d+$/, "$1");
}

/** Of each mount a copy is kept aside until the last has gone, so that it can be put back. */
async function unmountTogether(mounts: readonly MountEntry[], lazy: boolean): Promise<void> {
  const done: { place: MountPlace; copy: OpenFile | undefined }[] = [];
  try {
    for (const mount of mounts) {
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
    ...(await usersOf(diskOf(name), { onMounts: true })).filter(({ kind }) => kind !== "mount"),
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
