/*
 * What the running system itself uses is no image: a block device with a mounted file system or swap space on it, and a
 * swap file. Whoever writes to it past the kernel's own users destroys what they have there, and whoever reads it gets
 * what is half written.
 */
import { type BigIntStats, realpathSync, statSync } from "node:fs";
import { basename, dirname } from "node:path";
import type { OpenedImage } from "../caller";
import type { Devnum } from "../linux/devnum";
import { isErrno } from "../linux/errno";
import { O_EXCL, O_RDONLY, openDevice } from "../linux/file";
import { readSwaps } from "../linux/swaps";
import { devnumOf, list, nameOf, nodeOf, partitionsOf, readNumber } from "../linux/sysfs";
import { retry } from "../pause";
import { Problem } from "../problem";
import type { User } from "../protocol";
import { LOOK, loopsByImage, mountsByDevice, SWAP, swapDevices } from "../users";
import { withControl } from "./control";

/** The unit of `blocks`, stat(2). */
const STAT_BLOCK = 512n;

/** One of the devices that show bytes of the image. */
interface Member {
  /** The kernel's name: "loop3p1". */
  name: string;
  devnum: Devnum;
  /** Something that we can see has claimed it or a partition of it: a mapper device, a RAID. */
  held: boolean;
}

/**
 * @param path what the image is called where it is spoken of
 * @throws Problem busy, with the mounts
 */
export async function refuseInUse(path: string, { file, stat }: OpenedImage, signal: AbortSignal): Promise<void> {
  if (!stat.isBlockDevice()) {
    refuseSwapFile(path, stat);
    return;
  }
  const own = file.devnum();
  const [whole, members] = membersOf(own);
  refuseMounted(path, own, [...whole, ...members]);
  // One helper at a time: asking is claiming for a moment, which another one would take for a use.
  await retry(async () => ((await withControl(signal, () => isAnyClaimed(members))) ? undefined : true), {
    // Programs that make or check a file system ask in the same way.
    limit: LOOK,
    signal,
    expired: () =>
      new Problem(
        "busy",
        `${path} can't be an image: the system or another program has claimed it for itself alone. It may be mounted ` +
          "where Diskloom can't see that, outside of this container for example. Unmount it there first.",
        { users: [] },
      ),
  });
}

function refuseSwapFile(path: string, { dev, ino, size, blocks }: BigIntStats): void {
  // The kernel takes no file with holes, which most images have: those are attached without a further look.
  if (blocks * STAT_BLOCK < size) {
    return;
  }
  const isImage = (file: string) => {
    const found = statSync(file, { bigint: true, throwIfNoEntry: false });
    return found?.dev === dev && found.ino === ino;
  };
  if (readSwaps().some(isImage)) {
    throw new Problem("busy", `${path} can't be attached: it is in use as swap space. Run "swapoff ${path}" first.`, {
      users: [{ kind: "mount", target: SWAP }],
    });
  }
}

function refuseMounted(path: string, own: Devnum, members: readonly Member[]): void {
  const mounts = mountsByDevice();
  const swaps = new Set(swapDevices());
  const found = members.flatMap((member) => [
    ...(mounts.get(member.devnum) ?? []).map(({ target }) => ({ member, target })),
    ...(swaps.has(member.devnum) ? [{ member, target: SWAP }] : []),
  ]);
  const [first] = found;
  if (!first) {
    return;
  }
  const node = first.member.devnum === own ? path : nodeOf(first.member.name);
  const what = node === path ? "it" : node;
  const [use, advice] =
    first.target === SWAP
      ? ["in use as swap space", `Run "swapoff ${node}" first.`]
      : [`mounted at ${first.target}`, "Unmount that first."];
  throw new Problem(
    "busy",
    `${path} can't be an image while ${what} is ${use}: what is there would be damaged. ${advice}`,
    {
      users: found.map(({ target }): User => ({ kind: "mount", target })),
    },
  );
}

/** @returns of a partition its disk and what stands on that whole; and the device with all that stands on it */
function membersOf(number: Devnum): [Member[], Member[]] {
  const name = nameOf(number);
  if (name === undefined) {
    return [[], []];
  }
  const loops = loopsByImage();
  const members = new Map<string, Member>();
  const gather = (name: string, partitions: string[]) => {
    const devnum = devnumOf(folderOf(name));
    // A list taken while things move could look as if something stood on itself.
    if (devnum === undefined || members.has(name)) {
      return;
    }
    const holders = [name, ...partitions].flatMap((part) => list(`${folderOf(part)}/holders`));
    members.set(name, { name, devnum, held: holders.length > 0 });
    const loopsOnIt = (loops.get(devnum) ?? []).map((node) => basename(node));
    for (const above of [...partitions, ...holders, ...loopsOnIt]) {
      gather(above, partitionNames(above));
    }
  };
  gather(name, partitionNames(name));
  const own = [...members.values()];
  if (readNumber(`${folderOf(name)}/partition`) !== undefined) {
    // What uses another of its disk's partitions doesn't touch this one.
    gather(basename(dirname(realpathSync(folderOf(name)))), []);
  }
  return [[...members.values()].slice(own.length), own];
}

function folderOf(name: string): string {
  return `/sys/class/block/${name}`;
}

function partitionNames(disk: string): string[] {
  return partitionsOf(disk).map(({ name }) => name);
}

/**
 * The kernel gives a device to one user at a time that wants it for itself: a mount in any namespace, swap, a mapper
 * device, a RAID … Those that can be seen as holders are asked themselves.
 */
async function isAnyClaimed(members: readonly Member[]): Promise<boolean> {
  for (const member of members) {
    if (!member.held && (await isClaimed(nodeOf(member.name)))) {
      return true;
    }
  }
  return false;
}

/**
 * Whether the system uses a device or a partition of it: open(2) with O_EXCL and without O_CREAT fails then. To be asked
 * with the control device locked, as asking is claiming for a moment.
 */
export async function isClaimed(node: string): Promise<boolean> {
  try {
    await using _mine = await openDevice(node, O_RDONLY | O_EXCL);
    return false;
  } catch (error) {
    // Where it can't be opened at all it has no node, or no medium, and can't be asked.
    return isErrno(error, "EBUSY");
  }
}
