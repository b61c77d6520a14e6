/*
 * The nodes under /dev/mapper, where udev doesn't make them or didn't in time.
 *
 * Nobody locks that folder: dmsetup, another helper and udev may be at work in it. So what is done follows the kernel's
 * answer of the moment, and is done again until the answer before and after is the same: whoever comes last leaves it
 * right.
 */
import { lstatSync, mkdirSync, readlinkSync, renameSync, rmSync, symlinkSync, unlinkSync } from "node:fs";
import type { Devnum } from "../linux/devnum";
import type { DmName } from "../linux/dm";
import type { DmControl } from "../linux/dmcontrol";
import { asKernelError, isErrno, withErrno } from "../linux/errno";
import { ensureBlockNode, numberOfNode } from "../linux/node";
import { Problem } from "../problem";
import { MAPPER_FOLDER } from "./control";

/** More changes of a name while we look at it than anybody makes. */
const ATTEMPTS = 16;

/** The node that people know a device by. */
export function nodePath(name: DmName): string {
  return `${MAPPER_FOLDER}/${name}`;
}

/** The node that devtmpfs makes. */
export function kernelNode(number: Devnum): string {
  return `/dev/dm-${number.split(":")[1]}`;
}

/**
 * Makes what stands under a name what the kernel says: its node, or nothing.
 * @throws Problem kernel where something that is no node is in the way
 */
export function settleNode(control: DmControl, name: DmName): void {
  let wanted = lookUp(control, name);
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (wanted === undefined) {
      removeNode(name);
    } else if (numberOfNode(nodePath(name)) !== wanted) {
      placeNode(name, wanted);
    }
    const now = lookUp(control, name);
    if (now === wanted) {
      return;
    }
    wanted = now;
  }
}

function lookUp(control: DmControl, name: DmName): Devnum | undefined {
  try {
    return control.status({ name }).devnum;
  } catch (error) {
    if (isErrno(error, "ENXIO")) {
      return undefined;
    }
    throw error;
  }
}

function placeNode(name: DmName, number: Devnum): void {
  const path = nodePath(name);
  if (isForeign(path)) {
    throw new Problem("kernel", `${path} is in the way: it is no device's node. Move it elsewhere and try again.`);
  }
  withErrno("mkdir", MAPPER_FOLDER, () => mkdirSync(MAPPER_FOLDER, { recursive: true, mode: 0o755 }));
  const aside = `${MAPPER_FOLDER}/.node-${process.pid}-${number}`;
  rmSync(aside, { force: true }); // of a helper with our process number that was killed right here
  // A link where we can, as udev makes it: one that udev finds later it replaces, while a node would be in its way.
  if (numberOfNode(kernelNode(number)) === number) {
    withErrno("symlink", path, () => symlinkSync(`../dm-${number.split(":")[1]}`, aside));
  } else {
    ensureBlockNode(aside, number);
  }
  try {
    withErrno("rename", path, () => renameSync(aside, path));
  } catch (error) {
    unlinkSync(aside);
    throw error;
  }
}

function removeNode(name: DmName): void {
  const path = nodePath(name);
  if (isForeign(path)) {
    return;
  }
  try {
    unlinkSync(path);
  } catch (error) {
    const known = asKernelError(error, "unlink", path);
    if (!isErrno(known, "ENOENT")) {
      throw known;
    }
  }
}

function isForeign(path: string): boolean {
  const stat = withErrno("lstat", path, () => lstatSync(path, { throwIfNoEntry: false }));
  if (stat === undefined || stat.isBlockDevice()) {
    return false;
  }
  return !stat.isSymbolicLink() || !/^(\.\.|\/dev)\/dm-\d+$/.test(readlinkSync(path));
}
