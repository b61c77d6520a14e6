/* Getting hold of a loop device: by its number, or by the name that a request gives it. */
import type { Caller } from "../caller";
import { diskSequence } from "../linux/block";
import { devnum } from "../linux/devnum";
import { isErrno } from "../linux/errno";
import { O_RDONLY, type OpenFile, openDevice } from "../linux/file";
import { getStatus, type LoopInfo } from "../linux/loop";
import { ensureBlockNode } from "../linux/node";
import { devnumOf, diskFolder } from "../linux/sysfs";
import { type Attachment, checkOwner } from "../owners";
import { Problem } from "../problem";
import type { Underneath } from "./settings";

/** The kernel's name of a loop device: "loop3". */
export function diskOf(number: number): string {
  return `loop${number}`;
}

/** The number in a loop device's node; the protocol has checked its form. */
export function numberOf(device: string): number {
  return Number(device.slice("/dev/loop".length));
}

/**
 * Opens the kernel's loop device of this number, by a node that is made where it is missing. A node that stands for
 * another device is refused: its name proves nothing, and a minor is not the number where partitions share minors.
 *
 * @param open at once where nobody can be at work on it
 */
export async function openLoop(
  number: number,
  flags: number,
  open: (path: string, flags: number) => OpenFile | Promise<OpenFile> = openDevice,
): Promise<OpenFile> {
  const path = `/dev/${diskOf(number)}`;
  const expected = devnumOf(diskFolder(diskOf(number)));
  if (expected === undefined) {
    throw new Problem("notFound", `There is no loop device ${path}.`, { device: path });
  }
  try {
    ensureBlockNode(path, expected);
  } catch (error) {
    if (isErrno(error, "EEXIST")) {
      const advice = `Remove that file; the device's own node is made again.`;
      throw Problem.of("kernel", `${path} isn't the kernel's device ${expected}. ${advice}`, error, { device: path });
    }
    throw error;
  }
  const loop = await open(path, flags);
  if (loop.devnum() !== expected) {
    await loop[Symbol.asyncDispose]();
    throw new Problem("stale", `${path} was replaced in the meantime.`, { device: path });
  }
  return loop;
}

/** A bound loop device, open, and its state at that moment. As long as it is open it can't become another. */
export interface BoundLoop {
  loop: OpenFile;
  info: LoopInfo;
  /** `null` before Linux 5.15, which has none. */
  sequence: number | null;
}

/** A request that names a device. */
interface Naming {
  device: string;
  diskSequence?: number | null | undefined;
}

/**
 * Opens the bound device that a request names, and makes sure that it is the one that was meant.
 * @throws Problem notFound where it isn't bound, stale where it has been bound anew since
 */
export async function openBound(named: Naming): Promise<BoundLoop> {
  // Root may do all there is to do with it; and udev looks at every device again that was open for writing.
  const loop = await openLoop(numberOf(named.device), O_RDONLY);
  try {
    const sequence = diskSequence(loop);
    if (named.diskSequence != null && sequence !== null && named.diskSequence !== sequence) {
      throw new Problem("stale", `${named.device} has been detached or attached anew since. Nothing was changed.`, {
        device: named.device,
      });
    }
    return { loop, info: getStatus(loop), sequence };
  } catch (error) {
    await loop[Symbol.asyncDispose]();
    if (isErrno(error, "ENXIO")) {
      throw Problem.of("notFound", `${named.device} isn't attached to an image.`, error, { device: named.device });
    }
    throw error;
  }
}

/**
 * As `openBound`, to change the device for the caller.
 * @throws Problem notPermitted where it is somebody else's
 */
export async function openOwned(wish: Naming & { confirmForeign: boolean }, caller: Caller): Promise<BoundLoop> {
  const bound = await openBound(wish);
  try {
    checkOwner(attachmentOf(wish.device, bound), caller, wish.confirmForeign);
    return bound;
  } catch (error) {
    await bound.loop[Symbol.asyncDispose]();
    throw error;
  }
}

/** Where the bytes under a device lie. */
export function underneathOf({ blockDevice, device }: LoopInfo): Underneath {
  return { device: blockDevice || device };
}

/** What tells this attachment of the device from others. */
export function attachmentOf(device: string, { info, sequence }: Omit<BoundLoop, "loop">): Attachment {
  return {
    device,
    diskSequence: sequence,
    backingInode: Number(info.inode),
    backingDevnum: devnum(info.device),
  };
}
