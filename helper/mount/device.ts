/* The devices that can be mounted: loop devices, their partitions and mapper devices, held while they are looked at. */
import type { Caller } from "../caller";
import type { Devnum } from "../linux/devnum";
import { isErrno } from "../linux/errno";
import { O_RDONLY, type OpenFile, openDevice } from "../linux/file";
import { devnumOf, diskFolder, nameOf, readNumber } from "../linux/sysfs";
import { diskOf, numberOf, openOwned } from "../loop/device";
import { openControl } from "../mapper/control";
import { holdDevice } from "../mapper/device";
import { kernelNode } from "../mapper/nodes";
import { isHeldBack } from "../mapper/sysfs";
import { checkOwner } from "../owners";
import { ensurePartitionNodes } from "../partition/nodes";
import { retry } from "../pause";
import { Problem } from "../problem";
import { LOOK } from "../users";

/** How a request names a device. */
export interface Naming {
  device: string;
  diskSequence?: number | null | undefined;
}

/** A device that is the caller's, open for reading; as long as it is open, its node stands for no other. */
export interface Mountable extends AsyncDisposable {
  file: OpenFile;
  devnum: Devnum;
  /** The kernel's name of the whole disk: "loop3". */
  disk: string;
  diskSequence: number | null;
}

/** The node of the disk that a partition is of; any other node is that of its disk. */
function wholeOf(device: string): string {
  return device.replace(/^(\/dev\/loop\d+)p\d+$/, "$1");
}

/**
 * Opens a device to mount it for the caller.
 * @param wish `diskSequence` is the disk's, for a partition as well
 * @throws Problem notFound, stale, busy where it is suspended, notPermitted where it is somebody else's
 */
export async function openMountable(
  wish: Naming & { confirmForeign: boolean },
  caller: Caller,
  signal: AbortSignal,
): Promise<Mountable> {
  const { device } = wish;
  return device.startsWith("/dev/loop")
    ? openOfLoop({ ...wish, device: wholeOf(device) }, device, caller, signal)
    : openMapper(wish, caller);
}

async function openOfLoop(
  wish: Naming & { confirmForeign: boolean },
  device: string,
  caller: Caller,
  signal: AbortSignal,
): Promise<Mountable> {
  const disk = diskOf(numberOf(wish.device));
  const { loop } = await openOwned(wish, caller);
  const found = { disk, diskSequence: sequenceOf(loop.devnum()) };
  if (wish.device === device) {
    return { ...found, file: loop, devnum: loop.devnum(), [Symbol.asyncDispose]: () => loop[Symbol.asyncDispose]() };
  }
  try {
    const file = await openPartition(disk, device, signal);
    return {
      ...found,
      file,
      devnum: file.devnum(),
      async [Symbol.asyncDispose]() {
        await file[Symbol.asyncDispose]();
        await loop[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await loop[Symbol.asyncDispose]();
    throw error;
  }
}

/**
 * Right after somebody has had the disk open for writing, as attaching does, udev has the kernel read its table anew: for
 * some milliseconds it has no partitions then.
 */
function openPartition(disk: string, device: string, signal: AbortSignal): Promise<OpenFile> {
  return retry(() => openPartitionNow(disk, device), {
    limit: LOOK,
    signal,
    expired: () => {
      const devnum = devnumOfPartition(disk, device);
      return devnum === undefined
        ? new Problem("notFound", `/dev/${disk} has no partition ${device}. Rescan its partitions.`, { device })
        : new Problem("stale", `${device} isn't the kernel's device ${devnum}.`, { device });
    },
  });
}

async function openPartitionNow(disk: string, device: string): Promise<OpenFile | undefined> {
  const devnum = devnumOfPartition(disk, device);
  if (devnum === undefined) {
    return undefined;
  }
  ensurePartitionNodes(disk);
  try {
    const file = await openDevice(device, O_RDONLY);
    if (file.devnum() === devnum) {
      return file;
    }
    await file[Symbol.asyncDispose]();
    return undefined;
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENXIO", "ENODEV")) {
      return undefined;
    }
    throw error;
  }
}

function devnumOfPartition(disk: string, device: string): Devnum | undefined {
  return devnumOf(`${diskFolder(disk)}/${device.slice("/dev/".length)}`);
}

async function openMapper(wish: Naming & { confirmForeign: boolean }, caller: Caller): Promise<Mountable> {
  const { device } = wish;
  using control = openControl();
  await using held = await holdDevice(control, wish);
  const { devnum } = held;
  const node = kernelNode(devnum);
  const diskSequence = sequenceOf(devnum);
  checkOwner({ device: node, diskSequence, backingInode: 0, backingDevnum: devnum }, caller, wish.confirmForeign);
  const disk = nameOf(devnum) ?? "";
  if (isHeldBack(disk)) {
    throw new Problem("busy", `${device} is suspended. Resume it first.`, { device, users: [] });
  }
  try {
    const file = await openDevice(node, O_RDONLY);
    return { file, devnum, disk, diskSequence, [Symbol.asyncDispose]: () => file[Symbol.asyncDispose]() };
  } catch (error) {
    if (isErrno(error, "ENXIO", "ENODEV")) {
      throw Problem.of("notFound", `${device} has no table that could be read from.`, error, { device });
    }
    throw error;
  }
}

/** The kernel's sequence number of a disk, or of the disk that a partition is of; `null` before Linux 5.15. */
export function sequenceOf(device: Devnum): number | null {
  const folder = `/sys/dev/block/${device}`;
  return readNumber(`${folder}/diskseq`) ?? readNumber(`${folder}/../diskseq`) ?? null;
}
