/*
 * The list of devices for one who asks again and again: a loop device that is still as it was described isn't described
 * anew. For a thread that may wait.
 */
import { isDeepStrictEqual } from "node:util";
import { describeEach, listMapperDevices, lookAroundAll, type Picture } from "./inventory";
import { allNames } from "./linux/sysfs";
import { type Described, describedNow, Glances, isAsDescribed } from "./loop/glance";
import { boundDisks, boundImages, loopDisks } from "./loop/state";
import { addSpace } from "./mount/space";
import type { LoopDevice } from "./protocol";

/** Devices as they were described last, by their kernel names. */
export type Remembered = Map<string, Described>;

/** All devices, each as JSON in UTF-8: loop devices by number, then those of the device mapper. */
export async function listAgain(remembered: Remembered): Promise<Uint8Array[]> {
  await forgetChanged(remembered);
  const names = allNames();
  const disks = loopDisks(names);
  // The images of those that are remembered are files: none of them stands on another device.
  const images = boundImages(boundDisks(disks.filter((disk) => !remembered.has(disk))));
  const surroundings = lookAroundAll(names, images);
  const others = new Set(images.keys());
  for (const known of remembered.values()) {
    if (!isLeftAlone(known, surroundings)) {
      remembered.delete(known.disk);
      others.add(known.disk);
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
  const devices: Uint8Array[] = [];
  for (const disk of disks) {
    const known = remembered.get(disk);
    const other = known ? undefined : changing.get(disk);
    if (known) {
      devices.push(known.json);
    } else if (other) {
      devices.push(encoded(other));
    }
  }
  return [...devices, ...mappers.map(encoded)];
}

function encoded(device: object): Uint8Array {
  return Buffer.from(JSON.stringify(device));
}

async function forgetChanged(remembered: Remembered): Promise<void> {
  using glances = new Glances();
  for (const known of remembered.values()) {
    if (!glances.isUntouched(known) && !(await isAsDescribed(known))) {
      remembered.delete(known.disk);
    }
  }
}

// Whether nobody uses a device, and it is still whose it was.
function isLeftAlone({ disk, attachment, devnum, setUpBy }: Described, surroundings: Picture): boolean {
  const owner = surroundings.ownerOf(attachment);
  return !surroundings.mayBeUsed(disk, devnum) && (owner === setUpBy || isDeepStrictEqual(owner, setUpBy));
}
