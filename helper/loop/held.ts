/*
 * Devices that are to go away with their last user. Until they have one, we are it: a device with autoclear that
 * nobody has open would be gone before the client has its name. It is let go of as soon as something is mounted from it
 * or stands on it, and in any case when the helper ends, however it ends.
 */
import type { OpenFile } from "../linux/file";
import { devnumOf, diskFolder, holdersOf, partitionsOf } from "../linux/sysfs";
import { mountsByDevice } from "../users";

const held = new Map<string, OpenFile>();

/** @param loop without a lock on it: it may stay open for days */
export async function hold(disk: string, loop: OpenFile): Promise<void> {
  const before = held.get(disk);
  held.set(disk, loop);
  await before?.[Symbol.asyncDispose]();
}

/** How a device is let go of that we have open: at once only where closing it takes no time. */
export type Ending = "close" | "closeAtOnce" | "hold";

export async function letGo(disk: string, loop: OpenFile, ending: Ending): Promise<void> {
  if (ending === "hold") {
    loop.unlock();
    await hold(disk, loop);
  } else if (ending === "closeAtOnce") {
    loop[Symbol.dispose]();
  } else {
    await loop[Symbol.asyncDispose]();
  }
}

/** How many devices would go if this helper ended now. */
export function heldCount(): number {
  return held.size;
}

/** Lets go of a device that is to be detached anyway. @returns whether it was held */
export async function release(disk: string): Promise<boolean> {
  const loop = held.get(disk);
  held.delete(disk);
  await loop?.[Symbol.asyncDispose]();
  return loop !== undefined;
}

/** Lets go of all that others use by now. To be called when the kernel's picture changed. */
export async function releaseUsed(): Promise<void> {
  if (held.size === 0) {
    return;
  }
  const mounts = mountsByDevice();
  for (const disk of [...held.keys()]) {
    const folders = [diskFolder(disk), ...partitionsOf(disk).map(({ name }) => `${diskFolder(disk)}/${name}`)];
    const used = folders.some((folder) => {
      const number = devnumOf(folder);
      return holdersOf(folder).length > 0 || (number !== undefined && mounts.has(number));
    });
    if (used) {
      await release(disk);
    }
  }
}
