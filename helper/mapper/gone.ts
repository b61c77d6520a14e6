import { setTimeout as sleep } from "node:timers/promises";
import type { Devnum } from "../linux/devnum";
import type { DmName } from "../linux/dm";
import type { DmControl } from "../linux/dmcontrol";
import { isErrno } from "../linux/errno";

/** udev's programs, which look into a device that has just come, take less. */
const LIMIT = 5000;
const PAUSE = 10;

/** Whether a name leads to a number still. A number alone may be another device's by now. */
function isThere(control: DmControl, { name, devnum }: { name: DmName; devnum: Devnum }): boolean {
  try {
    return control.status({ name }).devnum === devnum;
  } catch (error) {
    if (isErrno(error, "ENXIO")) {
      return false;
    }
    throw error;
  }
}

/**
 * Waits until a device that goes with its last user has gone: the kernel removes it by a thread of its own after the
 * last close. No longer than 5 s: a device that somebody else keeps open goes when they let it.
 */
export async function untilGone(control: DmControl, device: { name: DmName; devnum: Devnum }): Promise<boolean> {
  const end = performance.now() + LIMIT;
  while (isThere(control, device)) {
    if (performance.now() > end) {
      return false;
    }
    await sleep(PAUSE);
  }
  return true;
}
