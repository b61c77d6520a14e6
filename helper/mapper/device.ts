/* From the node that a request names to the one device that is meant, held so that nobody can put another in its place. */
import { mkdirSync, rmSync, unlinkSync } from "node:fs";
import { diskSequence } from "../linux/block";
import type { Devnum } from "../linux/devnum";
import type { DmKey, DmName, DmStatus } from "../linux/dm";
import type { DmControl } from "../linux/dmcontrol";
import { isErrno, withErrno } from "../linux/errno";
import { O_RDONLY, type OpenFile, openDevice } from "../linux/file";
import { ensureBlockNode, numberOfNode } from "../linux/node";
import { readNumber } from "../linux/sysfs";
import { Problem } from "../problem";
import { MAPPER_FOLDER } from "./control";
import type { Meant } from "./deps";
import { kernelNode, nodePath } from "./nodes";

/**
 * The device that a path names. Under /dev/mapper the kernel is asked by name, as a node there may be missing or out
 * of date; any other path (/dev/dm-0, a link) counts as what it leads to.
 * @throws Problem notFound
 */
export function findDevice(control: DmControl, device: string): DmStatus {
  try {
    return control.status(keyOf(device));
  } catch (error) {
    if (isErrno(error, "ENXIO")) {
      throw Problem.of("notFound", `There is no mapper device ${device}. It may have been removed or renamed.`, error, {
        device,
      });
    }
    throw error;
  }
}

function keyOf(device: string): DmKey {
  const name = device.startsWith(`${MAPPER_FOLDER}/`) ? device.slice(MAPPER_FOLDER.length + 1) : undefined;
  if (name !== undefined && name !== "" && Buffer.byteLength(name) < 128) {
    return { name: name as DmName };
  }
  const devnum = numberOfNode(device);
  if (devnum === undefined) {
    throw new Problem("notFound", `There is no block device ${device}. It may have been removed.`, { device });
  }
  return { devnum };
}

/** A device held open: as long as it is, its number stays its own, and nobody can remove it. */
export class HeldDevice implements AsyncDisposable {
  readonly name: DmName;
  readonly devnum: Devnum;
  /** The key that can't come to mean another device. */
  readonly key: DmKey;

  constructor(
    readonly status: DmStatus,
    private readonly file: OpenFile | undefined,
  ) {
    this.name = status.name;
    this.devnum = status.devnum;
    this.key = { devnum: status.devnum };
  }

  /** How many of its openers are us. */
  get ownOpenCount(): number {
    return this.file ? 1 : 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.file?.[Symbol.asyncDispose]();
  }
}

/**
 * Finds a device, holds it and makes sure that it is the one that is meant: its name leads to its number in the
 * kernel, and it has the sequence number of the one that was seen. A device that has never had a table can't be opened
 * since Linux 5.15; it is checked all the same, but not held.
 * @throws Problem notFound, stale
 */
export async function holdDevice(control: DmControl, meant: Meant): Promise<HeldDevice> {
  const found = findDevice(control, meant.device);
  const file = await openByNumber(found.devnum);
  try {
    const now = findDevice(control, meant.device);
    const sequence = file ? diskSequence(file) : sequenceOf(found.devnum);
    if (now.devnum !== found.devnum || (meant.diskSequence != null && meant.diskSequence !== sequence)) {
      throw new Problem("stale", `${meant.device} is another device by now. Look at it again before you change it.`, {
        device: meant.device,
      });
    }
    return new HeldDevice(now, file);
  } catch (error) {
    await file?.[Symbol.asyncDispose]();
    throw error;
  }
}

/** The kernel's sequence number of a device; `null` before Linux 5.15, and where the device has no disk yet. */
export function sequenceOf(number: Devnum): number | null {
  return readNumber(`/sys/dev/block/${number}/diskseq`) ?? null;
}

/**
 * Opens a device by its number, through devtmpfs's node or one of our own. `undefined` where it can't be opened: it
 * has no disk yet, or is on its way out.
 */
export async function openByNumber(number: Devnum): Promise<OpenFile | undefined> {
  try {
    const node = kernelNode(number);
    if (numberOfNode(node) === number) {
      const file = await openDevice(node, O_RDONLY);
      if (file.devnum() === number) {
        return file;
      }
      await file[Symbol.asyncDispose]();
    }
    return await openByOwnNode(number);
  } catch (error) {
    // EPERM: a container that may use the control node, but not the devices.
    if (isErrno(error, "ENXIO", "ENODEV", "ENOENT", "EPERM")) {
      return undefined;
    }
    throw error;
  }
}

let ownNodes = 0;

async function openByOwnNode(number: Devnum): Promise<OpenFile> {
  const aside = nodePath(`.open-${process.pid}-${ownNodes++}` as DmName);
  withErrno("mkdir", MAPPER_FOLDER, () => mkdirSync(MAPPER_FOLDER, { recursive: true, mode: 0o755 }));
  rmSync(aside, { force: true }); // of a helper with our process number that was killed right here
  ensureBlockNode(aside, number);
  try {
    return await openDevice(aside, O_RDONLY);
  } finally {
    unlinkSync(aside);
  }
}
