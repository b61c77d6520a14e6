/* Device nodes in /dev, for where neither udev nor devtmpfs makes them: containers, or after somebody's rm. */
import { chownSync, lstatSync, statSync, unlinkSync } from "node:fs";
import { type Devnum, deviceOf, devnum } from "./devnum";
import { isErrno, KernelError, withErrno } from "./errno";
import { call } from "./libc";
import { groupByName } from "./users";

const S_IFBLK = 0o060000;
// As udev and devtmpfs leave the nodes of disks.
const MODE = 0o660;
const GROUP = "disk";

/** The number of the block device that a node stands for; `undefined` where there is no node, or another kind of file. */
export function numberOfNode(path: string): Devnum | undefined {
  const node = statSync(path, { bigint: true, throwIfNoEntry: false });
  return node?.isBlockDevice() ? devnum(node.rdev) : undefined;
}

/** Takes away a node that stands for the device of this number; anything else at its path is left alone. */
export function removeNode(path: string, number: Devnum): void {
  const node = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  if (!node?.isBlockDevice() || devnum(node.rdev) !== number) {
    return;
  }
  try {
    withErrno("unlink", path, () => unlinkSync(path));
  } catch (error) {
    // udev was quicker.
    if (!isErrno(error, "ENOENT")) {
      throw error;
    }
  }
}

/**
 * Makes the node where it is missing.
 * @throws KernelError EEXIST where something else stands at its path
 */
export function ensureBlockNode(path: string, number: Devnum): void {
  if (numberOfNode(path) === number) {
    return;
  }
  try {
    call("mknod", [path, S_IFBLK | 0o600, deviceOf(number)], ["mknod", path]);
  } catch (error) {
    // udev may have been quicker.
    if (isErrno(error, "EEXIST") && numberOfNode(path) === number) {
      return;
    }
    throw error;
  }
  const group = groupByName(GROUP);
  if (group !== undefined) {
    chownSync(path, 0, group);
  }
  call("chmod", [path, group === undefined ? 0o600 : MODE], ["chmod", path]);
  if (numberOfNode(path) !== number) {
    throw new KernelError("EEXIST", "mknod", path);
  }
}
