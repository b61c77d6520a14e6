/* The picture of all devices. It is made anew each time, as flags and contents change without the kernel saying so. */
import { basename } from "node:path";
import { type Probed, type ProbeRange, probe, tableFaults, unknownContent } from "./content/probe";
import { isUncached } from "./linux/cachestat";
import type { Devnum } from "./linux/devnum";
import { isErrno, KernelError } from "./linux/errno";
import { O_RDONLY, type OpenFile, openDevice } from "./linux/file";
import { statusIfTold } from "./linux/loop";
import { Room } from "./linux/room";
import { allHolders, allNames, diskFolder, readNumber } from "./linux/sysfs";
import {
  boundDisks,
  boundImages,
  type FoundImage,
  findImage,
  imageShown,
  isSameFile,
  type LoopState,
  loopDisks,
  openIfAllowed,
  stateOf,
} from "./loop/state";
import { mapperPresent, openControl } from "./mapper/control";
import { listMappers, type MapperDescription } from "./mapper/describe";
import { isHeldBack, listMappersFromSysfs } from "./mapper/sysfs";
import { addSpace } from "./mount/space";
import { ownerNamed, ownersNamed } from "./owners";
import { describePartitions, type Surroundings } from "./partition/describe";
import { Problem } from "./problem";
import type { Device, LoopDevice, MapperDevice } from "./protocol";
import { allHoldersOf, loopsByImage, mountsByDevice } from "./users";

/** How many devices are looked at at once: more than there are threads for it would only take memory. */
const AT_ONCE = 8;

/** All bound loop devices, and all mapper devices. */
export async function listDevices(): Promise<Device[]> {
  const names = allNames();
  const images = boundImages(boundDisks(loopDisks(names)));
  const surroundings = lookAroundAll(names, images);
  const room = new Room(AT_ONCE);
  const [loops, mappers] = await Promise.all([
    Promise.all([...images.keys()].map((disk) => room.enter(() => describeIfBound(disk, surroundings)))),
    listMapperDevices(surroundings),
  ]);
  const devices = [...loops.filter((device) => device !== undefined), ...mappers];
  await addSpace(devices);
  return devices;
}

/** As `listDevices`, of some loop devices only, one after the other: for a thread that may wait. */
export async function* describeEach(disks: Iterable<string>, surroundings: Picture): AsyncGenerator<LoopDevice> {
  for (const disk of disks) {
    const device = await describeIfBound(disk, surroundings);
    if (device) {
      yield device;
    }
  }
}

/** All mapper devices. */
export async function listMapperDevices(surroundings: Picture): Promise<MapperDevice[]> {
  const room = new Room(AT_ONCE);
  return await Promise.all(
    listMapperDescriptions().map((description) => room.enter(() => completeMapper(description, surroundings))),
  );
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
  const { content, table } = await probeIfReadable(file, { offset: 0, size, sectorSize });
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

/** What is known of all devices, and of what is around them. */
export interface Picture extends Surroundings {
  /** Whether a loop device may have partitions, so that it is worth a look. */
  mayBePartitioned(disk: string): boolean;
  /** Whether a loop device or a part of it may be mounted, or something stand on it. */
  mayBeUsed(disk: string, number: Devnum): boolean;
  ownerOf: typeof ownerNamed;
}

function lookAround(): Picture {
  const loops = loopsByImage();
  const mounts = mountsByDevice();
  return {
    mountsOf: (number) => mounts.get(number) ?? [],
    holdersOf: (folder, number) => allHoldersOf(folder, number, loops),
    mayBePartitioned: () => true,
    mayBeUsed: () => true,
    ownerOf: ownerNamed,
  };
}

/**
 * As `lookAround`, where that is for all devices: what can be told of all at once isn't asked of each.
 *
 * @param names the kernel's names of all disks and partitions
 */
export function lookAroundAll(names: readonly string[], images: ReadonlyMap<string, Buffer>): Picture {
  const mounts = mountsByDevice();
  const loops = loopsByImage(images);
  const holders = allHolders(names);
  const partitioned = new Set(names.flatMap((name) => /^(loop\d+)p\d+$/.exec(name)?.[1] ?? []));
  return {
    mountsOf: (number) => mounts.get(number) ?? [],
    mayBePartitioned: (disk) => partitioned.has(disk),
    mayBeUsed: (disk, number) => partitioned.has(disk) || mounts.has(number) || holders.has(disk) || loops.has(number),
    ownerOf: ownersNamed(),
    holdersOf: (folder, number) => [...(holders.get(basename(folder)) ?? []), ...(loops.get(number) ?? [])],
  };
}

async function describeIfBound(disk: string, surroundings: Picture): Promise<LoopDevice | undefined> {
  try {
    await using loop = await openIfAllowed(disk);
    // Only now, when it can't become another's any more.
    const shown = imageShown(disk);
    using image = shown && (await findImage(shown));
    const state = shown && stateOf(disk, loop, shown, image?.stat);
    if (!state) {
      return undefined;
    }
    using instead = image && (await openInstead(state, loop, image));
    const range = { offset: instead ? state.offset : 0, size: state.size, sectorSize: state.sectorSize };
    const { content, table } = await probeIfReadable(instead ?? loop, range);
    const setUpBy = surroundings.ownerOf(state);
    return {
      ...state,
      ...(setUpBy && { setUpBy }),
      content,
      ...tableFaults(table),
      partitions: surroundings.mayBePartitioned(disk)
        ? await describePartitions(disk, loop ?? instead, table, state.sectorSize, surroundings)
        : [],
      mounts: surroundings.mountsOf(state.devnum),
      holders: surroundings.holdersOf(diskFolder(disk), state.devnum),
    };
  } catch (error) {
    // It went while we looked.
    if (isErrno(error, "ENXIO", "ENODEV")) {
      return undefined;
    }
    throw error;
  }
}

/**
 * The image, to be read instead of the device. That costs a tenth, as every read of a device that nobody else has open
 * goes all the way down; and it is the same, as long as the kernel has nothing of the device in memory. For those who
 * may not open the device, the image is better than nothing where it shows it from its first byte.
 */
async function openInstead(
  { offset }: LoopState,
  loop: OpenFile | undefined,
  { file, stat }: FoundImage,
): Promise<OpenFile | undefined> {
  const info = loop && statusIfTold(loop);
  const same = loop ? info !== undefined && isSameFile(stat, info) && isUncached(loop.fd) : offset === 0;
  if (!same || !stat.isFile()) {
    return undefined;
  }
  try {
    return await openDevice(`/proc/self/fd/${file.fd}`, O_RDONLY);
  } catch (error) {
    if (error instanceof KernelError) {
      return undefined;
    }
    throw error;
  }
}

async function probeIfReadable(file: OpenFile | undefined, range: ProbeRange): Promise<Probed> {
  const unknown = { content: unknownContent, table: undefined };
  if (!file) {
    return unknown;
  }
  try {
    return await probe(file, range);
  } catch (error) {
    // An image on a disk with bad blocks, a machine without libblkid: the device is there all the same.
    if (error instanceof KernelError || error instanceof Problem) {
      return unknown;
    }
    throw error;
  }
}
