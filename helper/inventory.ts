/* The picture of all devices. It is made anew each time, as flags and contents change without the kernel saying so. */
import { type Probed, probe, tableFaults, unknownContent } from "./content/probe";
import type { Devnum } from "./linux/devnum";
import { isErrno, KernelError } from "./linux/errno";
import { O_RDONLY, type OpenFile, openDevice, openFile } from "./linux/file";
import { diskFolder, readNumber } from "./linux/sysfs";
import { type LoopState, loopDisks, readState } from "./loop/state";
import { mapperPresent, openControl } from "./mapper/control";
import { listMappers, type MapperDescription } from "./mapper/describe";
import { isHeldBack, listMappersFromSysfs } from "./mapper/sysfs";
import { addSpace } from "./mount/space";
import { ownerNamed } from "./owners";
import { describePartitions, type Surroundings } from "./partition/describe";
import { Problem } from "./problem";
import type { Device, LoopDevice, MapperDevice } from "./protocol";
import { allHoldersOf, loopsByImage, mountsByDevice } from "./users";

/** All bound loop devices, and all mapper devices. */
export async function listDevices(): Promise<Device[]> {
  const surroundings = lookAround();
  const devices: Promise<Device | undefined>[] = [
    ...loopDisks().map((disk) => describeIfBound(disk, surroundings)),
    ...listMapperDescriptions().map((description) => completeMapper(description, surroundings)),
  ];
  const described = (await Promise.all(devices)).filter((device) => device !== undefined);
  await addSpace(described);
  return described;
}

// Without the right to ask the device mapper itself, as the helper for the tree has none, by what everybody may see.
function listMapperDescriptions(): MapperDescription[] {
  if (!mapperPresent()) {
    return [];
  }
  try {
    using control = openControl();
    return listMappers(control);
  } catch (error) {
    if (error instanceof Problem || isErrno(error, "EACCES", "EPERM")) {
      return listMappersFromSysfs();
    }
    throw error;
  }
}

/** A mapper device with what is on it and where it is mounted. */
export async function completeMapper(
  description: MapperDescription,
  { mountsOf, holdersOf } = lookAround(),
): Promise<MapperDevice> {
  const { node, devnum, size } = description;
  const disk = node.slice("/dev/".length);
  const folder = diskFolder(disk);
  const readable = size > 0 && !isHeldBack(disk);
  await using file = readable ? await openDevice(node, O_RDONLY).catch(() => undefined) : undefined;
  const sectorSize = readNumber(`${folder}/queue/logical_block_size`) ?? 512;
  const { content, table } = await probeIfReadable(file, { size, sectorSize });
  const setUpBy = ownerNamed({ ...description, device: node, backingInode: 0, backingDevnum: devnum });
  return {
    ...description,
    ...(setUpBy && { setUpBy }),
    content,
    ...tableFaults(table),
    partitions: [],
    mounts: mountsOf(devnum as Devnum),
    holders: holdersOf(folder, devnum as Devnum),
  };
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
  const setUpBy = ownerNamed(state);
  return {
    ...state,
    ...(setUpBy && { setUpBy }),
    content,
    ...tableFaults(table),
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

async function probeIfReadable(
  file: OpenFile | undefined,
  { size, sectorSize }: Pick<LoopState, "size" | "sectorSize">,
): Promise<Probed> {
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
