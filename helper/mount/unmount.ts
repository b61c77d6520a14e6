import type { Devnum } from "../linux/devnum";
import { isErrno } from "../linux/errno";
import type { OpenFile } from "../linux/file";
import { attachMount, cloneMount, unmount } from "../linux/mount";
import { deviceUnder, type MountEntry, readMounts } from "../linux/mountinfo";
import { devnumOf, diskFolder, partitionsOf } from "../linux/sysfs";
import { Problem } from "../problem";
import { usersOf } from "../users";

/**
 * Unmounts all that is mounted of a disk and its partitions, the last mounted first: all of it or, where one is in use,
 * nothing. Of each mount a copy is kept aside until the last has gone, so that it can be put back.
 *
 * @throws Problem busy, with the users, where files are open on one of them
 */
export async function unmountAll(disk: string): Promise<void> {
  const numbers = new Set<Devnum | undefined>([
    devnumOf(diskFolder(disk)),
    ...partitionsOf(disk).map((partition) => partition.devnum),
  ]);
  const entries = readMounts();
  const targets = entries
    .filter((entry) => numbers.has(deviceUnder(entry)))
    .map((entry) => entry.target)
    .reverse();
  const aside: OpenFile[] = [];
  try {
    for (const target of targets) {
      refuseIfCovered(disk, target, entries, numbers);
      const copy = cloneMount(target);
      await unmount(target).catch((error) => {
        copy?.[Symbol.dispose]();
        throw error;
      });
      if (copy) {
        aside.push(copy);
      }
    }
  } catch (error) {
    putBack(aside.reverse());
    if (isErrno(error, "EBUSY")) {
      throw Problem.of("busy", `${error.target} is in use, so /dev/${disk} stays mounted.`, error, {
        device: `/dev/${disk}`,
        users: await usersOf(disk, { onMounts: true }),
      });
    }
    throw error;
  } finally {
    // The last reference to a file system: it is written out now, which can take its time.
    await Promise.all(aside.map((mount) => mount[Symbol.asyncDispose]()));
  }
}

// umount(2) takes what was mounted last at a place: where that is somebody else's, ours can't be reached by its name.
function refuseIfCovered(
  disk: string,
  target: string,
  entries: readonly MountEntry[],
  numbers: ReadonlySet<Devnum | undefined>,
): void {
  const top = entries.findLast((entry) => entry.target === target);
  if (top && !numbers.has(deviceUnder(top))) {
    throw new Problem("busy", `Something else is mounted over ${target}, so /dev/${disk} stays mounted there.`, {
      device: `/dev/${disk}`,
      users: [{ kind: "mount", target }],
    });
  }
}

/** All that can be: one whose place is gone must not keep the others from theirs. */
function putBack(mounts: readonly OpenFile[]): void {
  for (const mount of mounts) {
    try {
      attachMount(mount);
    } catch (error) {
      process.stderr.write(`${mount.path} could not be mounted again: ${error}\n`);
    }
  }
}
