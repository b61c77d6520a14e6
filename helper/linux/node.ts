/* Device nodes in /dev, for where neither udev nor devtmpfs makes them: containers, or after somebody's rm. */
import { chownSync, statSync } from "node:fs";
import { type Devnum, deviceOf, devnum } from "./devnum";
import { isErrno, KernelError } from "./errno";
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
