/* Who uses a device: what is mounted from it, what stands on it, and the processes that have it open. */
import { readdir, readFile, readlink, stat } from "node:fs/promises";
import { type Devnum, devnum } from "./linux/devnum";
import { deviceUnder, knownDeviceMounts, type MountEntry, readDeviceMounts, readMounts } from "./linux/mountinfo";
import { numberOfNode } from "./linux/node";
import { readSwaps } from "./linux/swaps";
import { devnumOf, diskFolder, holdersOf, partitionsOf } from "./linux/sysfs";
import { boundImages } from "./loop/state";
import { pauseRandomly } from "./pause";
import type { Mount, User } from "./protocol";

/** The target that swap space has among mounts, as lsblk shows it. */
export const SWAP = "[SWAP]";

/** The mounts of every device, from one reading of the kernel's list. */
export type MountsByDevice = ReadonlyMap<Devnum, Mount[]>;

export function mountsByDevice(entries: MountEntry[] = readDeviceMounts()): MountsByDevice {
  const mounts = new Map<Devnum, Mount[]>();
  for (const entry of entries) {
    const device = deviceUnder(entry);
    if (device !== undefined) {
      const options = [...new Set([...entry.options, ...entry.superOptions])];
      mounts.set(device, [
        ...(mounts.get(device) ?? []),
        { target: entry.target, fileSystem: entry.fileSystem, options, readOnly: options.includes("ro") },
      ]);
    }
  }
  return mounts;
}

/** The mounts of these devices. Where there are none, as of most that are asked for, the kernel's list isn't read again. */
function mountsOf(numbers: ReadonlySet<Devnum>): MountsByDevice {
  const isMounted = knownDeviceMounts().some((entry) => {
    const number = deviceUnder(entry);
    return number !== undefined && numbers.has(number);
  });
  return isMounted ? mountsByDevice() : new Map();
}

/** The loop devices whose image is a block device, by that device's number: the kernel doesn't call them holders. */
export function loopsByImage(images = boundImages()): ReadonlyMap<Devnum, string[]> {
  const loops = new Map<Devnum, string[]>();
  for (const [disk, image] of images) {
    const path = image.toString();
    const device = path.startsWith("/dev/") ? numberOfNode(path) : undefined;
    if (device !== undefined) {
      loops.set(device, [...(loops.get(device) ?? []), `/dev/${disk}`]);
    }
  }
  return loops;
}

/** All that stands on a disk or partition. @param folder its folder in /sys */
export function allHoldersOf(folder: string, number: Devnum, loops = loopsByImage()): string[] {
  return [...holdersOf(folder), ...(loops.get(number) ?? [])];
}

/**
 * Who uses a disk or any of its partitions. Processes of other users are seen only by root. Our own process is left
 * out: that a request has the device open is no news.
 *
 * @param openers whether to look for processes that have it open: looking through all processes takes a while
 * @param loops whether to look for loop devices on it: looking through all loop devices takes a while where there are many
 * @param onMounts whether to look for those, too, that use files on what is mounted from it
 */
export async function usersOf(disk: string, { openers = true, onMounts = false, loops = true } = {}): Promise<User[]> {
  const parts = [
    { folder: diskFolder(disk), devnum: devnumOf(diskFolder(disk)) },
    ...partitionsOf(disk).map((part) => ({ folder: `${diskFolder(disk)}/${part.name}`, devnum: part.devnum })),
  ];
  const numbers = new Set(parts.flatMap(({ devnum: number }) => number ?? []));
  const mounts = mountsOf(numbers);
  const loopsOn = loops ? loopsByImage() : new Map<Devnum, string[]>();
  const users: User[] = [];
  for (const { folder, devnum: number } of parts) {
    if (number !== undefined) {
      users.push(...(mounts.get(number) ?? []).map(({ target }): User => ({ kind: "mount", target })));
      users.push(...allHoldersOf(folder, number, loopsOn).map((device): User => ({ kind: "holder", device })));
    }
  }
  for (const swap of swapDevices()) {
    if (numbers.has(swap)) {
      users.push({ kind: "mount", target: SWAP });
    }
  }
  return openers || onMounts ? [...users, ...(await processesUsing(numbers, { openers, onMounts }))] : users;
}

/** How long a process may have a device open and be taken for one that only has a look (udev, a lister); milliseconds. */
export const LOOK = 1000;
const PAUSE = 20;

/** As `usersOf`, but processes are waited for as long as a look takes. */
export async function lastingUsersOf(disk: string, signal: AbortSignal): Promise<User[]> {
  const end = performance.now() + LOOK;
  for (;;) {
    const users = await usersOf(disk);
    if (!users.some(({ kind }) => kind === "process") || performance.now() > end) {
      return users;
    }
    await pauseRandomly(PAUSE, signal);
  }
}

/** The devices that are swap space. */
export function swapDevices(): Devnum[] {
  return readSwaps().flatMap((path) => numberOfNode(path) ?? []);
}

/** How a device is used, as the end of a sentence: "mounted at /mnt/data, open in dd (process 123)". */
export function inWords(users: readonly User[]): string {
  return users.map(wordsFor).join(", ");
}

function wordsFor(user: User): string {
  switch (user.kind) {
    case "mount":
      return user.target === SWAP ? "as swap space" : `mounted at ${user.target}`;
    case "holder":
      return `under ${user.device}`;
    case "process":
      return `open in ${user.command} (process ${user.pid})`;
  }
}

/** What a process may do with a device to count as its user. */
interface Uses {
  openers: boolean;
  onMounts: boolean;
}

async function processesUsing(numbers: ReadonlySet<Devnum>, uses: Uses): Promise<User[]> {
  const users: User[] = [];
  const namespaces = await OtherNamespaces.begin();
  for (const pid of await otherProcesses()) {
    if (
      (await hasOpen(pid, numbers, uses)) ||
      (await namespaces.devicesMountedBy(pid)).some((device) => numbers.has(device))
    ) {
      users.push({ kind: "process", pid, command: await commandOf(pid) });
    }
  }
  return users;
}

/** The devices that are mounted in other mount namespaces than ours, as far as those have a process that we may look at. */
export async function devicesMountedElsewhere(): Promise<ReadonlySet<Devnum>> {
  const namespaces = await OtherNamespaces.begin();
  const found = new Set<Devnum>();
  for (const pid of await otherProcesses()) {
    for (const device of await namespaces.devicesMountedBy(pid)) {
      found.add(device);
    }
  }
  return found;
}

async function otherProcesses(): Promise<number[]> {
  return (await readdir("/proc")).map(Number).filter((pid) => Number.isInteger(pid) && pid !== process.pid);
}

/** Other mount namespaces than ours, each looked into once. */
class OtherNamespaces {
  readonly #seen = new Set<string>();

  static async begin(): Promise<OtherNamespaces> {
    const namespaces = new OtherNamespaces();
    namespaces.#seen.add(await readlink("/proc/self/ns/mnt").catch(() => ""));
    return namespaces;
  }

  /** What a process sees mounted; nothing where it sees what we or another process do. */
  async devicesMountedBy(pid: number): Promise<Devnum[]> {
    const namespace = await readlink(`/proc/${pid}/ns/mnt`).catch(() => undefined);
    if (namespace === undefined || this.#seen.has(namespace)) {
      return [];
    }
    this.#seen.add(namespace);
    try {
      return readMounts(pid).flatMap((entry) => deviceUnder(entry) ?? []);
    } catch {
      // It ended meanwhile; another one in there has its turn.
      this.#seen.delete(namespace);
      return [];
    }
  }
}

async function hasOpen(pid: number, numbers: ReadonlySet<Devnum>, { openers, onMounts }: Uses): Promise<boolean> {
  const folder = `/proc/${pid}/fd`;
  // Processes end and descriptors close while we look: that is nobody's error.
  const files = (await readdir(folder).catch(() => [])).map((fd) => `${folder}/${fd}`);
  for (const path of onMounts ? [`/proc/${pid}/cwd`, `/proc/${pid}/root`, ...files] : files) {
    const file = await stat(path, { bigint: true }).catch(() => undefined);
    if (
      file?.isBlockDevice()
        ? openers && numbers.has(devnum(file.rdev))
        : onMounts && file && numbers.has(devnum(file.dev))
    ) {
      return true;
    }
  }
  if (!openers) {
    return false;
  }
  // A mapping outlives its descriptor, and keeps the device open.
  const maps = await readFile(`/proc/${pid}/maps`, "utf8").catch(() => "");
  return [...new Set(maps.match(/\/dev\/\S+/g))].some((path) => {
    const number = numberOfNode(path);
    return number !== undefined && numbers.has(number);
  });
}

async function commandOf(pid: number): Promise<string> {
  return (await readFile(`/proc/${pid}/comm`, "utf8").catch(() => "")).trim();
}
