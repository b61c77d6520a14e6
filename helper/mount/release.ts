/* `mount/unmount`: one mount by its target, or all of a device that are the caller's. */
import type { Caller } from "../caller";
import type { Devnum } from "../linux/devnum";
import { deviceUnder, type MountEntry, readMounts } from "../linux/mountinfo";
import { devnumOf, diskFolder, nameOf, partitionsOf } from "../linux/sysfs";
import { openControl } from "../mapper/control";
import { findDevice } from "../mapper/device";
import { Problem } from "../problem";
import type { CheckedParams } from "../protocol";
import type { Work } from "../work";
import { type MountBook, withBook } from "./book";
import { sequenceOf } from "./device";
import { diskOfPart, unmountTogether } from "./unmount";

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
    try {
      await unmountTogether(mounts, wish.lazy, work);
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
    throw new Problem("notPermitted", `${first.target} was mounted by the system, another user or another program.`, {
      foreign: true,
      users: [{ kind: "mount", target: first.target }],
    });
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
  const disk = diskOfPart(name);
  const own = devnumOf(disk === name ? diskFolder(disk) : `${diskFolder(disk)}/${name}`);
  const parts = disk === name ? partitionsOf(disk).map(({ devnum }) => devnum) : [];
  return own === undefined ? parts : [own, ...parts];
}
