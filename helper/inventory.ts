/* The picture of all devices. It is made anew each time, as flags and contents change without the kernel saying so. */
import { type Probed, probe, unknownContent } from "./content/probe";
import { KernelError } from "./linux/errno";
import { O_RDONLY, type OpenFile, openDevice, openFile } from "./linux/file";
import { diskFolder } from "./linux/sysfs";
import { type LoopState, loopDisks, readState } from "./loop/state";
import { describePartitions, type Surroundings } from "./partition/describe";
import { Problem } from "./problem";
import type { Device, LoopDevice } from "./protocol";
import { allHoldersOf, loopsByImage, mountsByDevice } from "./users";

/** All bound loop devices. */
export async function listDevices(): Promise<Device[]> {
  const surroundings = lookAround();
  const devices = await Promise.all(loopDisks().map((disk) => describeIfBound(disk, surroundings)));
  return devices.filter((device): device is LoopDevice => device !== undefined);
}

/** One loop device. @throws Problem notFound where it isn't bound */
export async function describeLoop(disk: string): Promise<LoopDevice> {
  const device = await describeIfBound(disk, lookAround());
  if (!device) {
    throw new Problem("notFound", `/dev/${disk} isn't attached to an image.`, { device: `/dev/${disk}` });
  }
  return device;
}

function lookAround(): Surroundings {
  const mounts = mountsByDevice();
  const loops = loopsByImage();
  return {
    mountsOf: (number) => mounts.get(number) ?? [],
    holdersOf: (folder, number) => allHoldersOf(folder, number, loops),
  };
}

async function describeIfBound(disk: string, surroundings: Surroundings): Promise<LoopDevice | undefined> {
  const state = await readState(disk);
  if (!state) {
    return undefined;
  }
  const { mountsOf, holdersOf } = surroundings;
  await using file = await openForReading(state);
  const { content, table } = await probeIfReadable(file, state);
  return {
    ...state,
    content,
    partitions: await describePartitions(disk, file, table, state.sectorSize, surroundings),
    mounts: mountsOf(state.devnum),
    holders: holdersOf(diskFolder(disk), state.devnum),
  };
}

/** The device or, for those who may not open it, the image that it shows from its first byte. */
async function openForReading(state: LoopState): Promise<OpenFile | undefined> {
  try {
    return await openDevice(state.device, O_RDONLY);
  } catch (error) {
    return error instanceof KernelError && state.offset === 0 ? openImageOf(state) : undefined;
  }
}

function openImageOf({ backingFile, backingInode }: LoopState): OpenFile | undefined {
  try {
    const image = openFile(backingFile, O_RDONLY);
    const { ino } = image.stat();
    if (Number(ino) === backingInode) {
      return image;
    }
    image[Symbol.dispose]();
    return undefined;
  } catch {
    return undefined;
  }
}

async function probeIfReadable(file: OpenFile | undefined, { size, sectorSize }: LoopState): Promise<Probed> {
  const unknown = { content: unknownContent, table: undefined };
  if (!file) {
    return unknown;
  }
  try {
    return await probe(file, { offset: 0, size, sectorSize });
  } catch (error) {
    // An image on a disk with bad blocks, a machine without libblkid: the device is there all the same.
    if (error instanceof KernelError || error instanceof Problem) {
      return unknown;
    }
    throw error;
  }
}
