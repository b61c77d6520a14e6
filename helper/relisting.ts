/*
 * The list of devices for one who asks again and again: a loop device that is still as it was described isn't described
 * anew. For a thread that may wait.
 */
import { isDeepStrictEqual } from "node:util";
import { describeEach, listMapperDevices, lookAroundAll, type Picture } from "./inventory";
import { type Described, describedNow, isAsDescribed } from "./loop/glance";
import { boundDisks, boundImages, loopDisks } from "./loop/state";
import { addSpace } from "./mount/space";
import type { LoopDevice } from "./protocol";

/** Devices as they were described last, by their kernel names. */
export type Remembered = Map<string, Described>;

/** All devices, each as JSON in UTF-8: loop devices by number, then those of the device mapper. */
export async function listAgain(remembered: Remembered): Promise<Uint8Array[]> {
  const disks = loopDisks();
  const same = new Map<string, Described>();
  for (const [disk, known] of remembered) {
    if (await isAsDescribed(known)) {
      same.set(disk, known);
    }
  }
  // The images of those are files: none of them stands on another device.
  const images = boundImages(boundDisks(disks.filter((disk) => !same.has(disk))));
  const surroundings = lookAroundAll(images);
  const others = new Set(images.keys());
  remembered.clear();
  for (const [disk, known] of same) {
    if (isLeftAlone(disk, known, surroundings)) {
      remembered.set(disk, known);
    } else {
      others.add(disk);
    }
  }
  const changing = new Map<string, LoopDevice>();
  for await (const device of describeEach(others, surroundings)) {
    const disk = `loop${device.number}`;
    const known = describedNow(device);
    if (known) {
      remembered.set(disk, known);
    } else {
      changing.set(disk, device);
    }
  }
  const mappers = await listMapperDevices(surroundings);
  await addSpace([...changing.values(), ...mappers]);
  const loops = disks.flatMap((disk) => remembered.get(disk)?.json ?? encoded(changing.get(disk)));
  return [...loops, ...mappers.flatMap(encoded)];
}

function encoded(device: object | undefined): Uint8Array[] {
  return device ? [Buffer.from(JSON.stringify(device))] : [];
}

// Whether nobody uses a device, and it is still whose it was.
function isLeftAlone(disk: string, { attachment, devnum, folder, setUpBy }: Described, surroundings: Picture): boolean {
  return (
    !surroundings.mayBePartitioned(disk) &&
    surroundings.mountsOf(devnum).length === 0 &&
    surroundings.holdersOf(folder, devnum).length === 0 &&
    isDeepStrictEqual(surroundings.ownerOf(attachment), setUpBy)
  );
}
