import { isErrno } from "../linux/errno";
import type { OpenFile } from "../linux/file";
import { removeDevice } from "../linux/loop";
import { removeNode } from "../linux/node";
import { devnumOf, diskFolder } from "../linux/sysfs";
import { retry } from "../pause";
import { Problem } from "../problem";
import { usersOf } from "../users";
import { withControl } from "./control";
import { diskOf, numberOf } from "./device";
import { isBound } from "./state";

/** How long others who look at an unbound device (udev) are waited for, in milliseconds. */
const LIMIT = 5000;

/**
 * Takes an unbound device away, node and all.
 * @throws Problem busy where it is bound or stays open, notFound where there is none
 */
export async function removeLoop(device: string, signal: AbortSignal): Promise<void> {
  const number = numberOf(device);
  if (isBound(diskOf(number))) {
    throw new Problem("busy", `${device} is attached to an image. Detach it first.`, { device, users: [] });
  }
  const users = () => usersOf(diskOf(number));
  await retry(
    // Not while pausing: others need the lock to get a device.
    () => withControl(signal, (control) => removed(control, number)),
    {
      limit: LIMIT,
      signal,
      expired: async () =>
        new Problem("busy", `${device} is kept open by another program.`, { device, users: await users() }),
    },
  ).catch((error) => {
    throw isErrno(error, "ENODEV", "ENOENT")
      ? Problem.of("notFound", `There is no loop device ${device}.`, error, { device })
      : error;
  });
}

async function removed(control: OpenFile, number: number): Promise<true | undefined> {
  const disk = diskOf(number);
  const devnum = devnumOf(diskFolder(disk));
  try {
    await removeDevice(control, number);
    if (devnum !== undefined) {
      // Where neither devtmpfs nor udev does (a container), before anybody else makes the device anew.
      removeNode(`/dev/${disk}`, devnum);
    }
    return true;
  } catch (error) {
    if (isErrno(error, "EBUSY")) {
      return undefined;
    }
    throw error;
  }
}
