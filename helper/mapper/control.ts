/* Finding the device mapper: its control node, or that this kernel has none. */
import { lstatSync, mkdirSync, readFileSync, renameSync, unlinkSync } from "node:fs";
import { dirname } from "node:path";
import { type Devnum, deviceOf, devnum } from "../linux/devnum";
import { DmControl } from "../linux/dmcontrol";
import { isErrno, withErrno } from "../linux/errno";
import { O_RDWR, type OpenFile, openFile } from "../linux/file";
import { call } from "../linux/libc";
import { Problem } from "../problem";

/** `DM_DIR` and `DM_CONTROL_NODE` in <linux/dm-ioctl.h>. */
export const MAPPER_FOLDER = "/dev/mapper";
const CONTROL = `${MAPPER_FOLDER}/control`;
// <linux/major.h>, <sys/stat.h>
const MISC_MAJOR = 10;
const S_IFCHR = 0o020000;

/**
 * Opens the device mapper. Where its node is missing though the kernel has it (a container, no udev), the node is made.
 * Where the module isn't loaded but its node is there, the kernel loads it at that: on purpose only, see
 * `mapperPresent`.
 * @throws Problem unsupported where the kernel has no device mapper
 */
export function openControl(): DmControl {
  const number = controlNumber();
  if (number !== undefined) {
    ensureControlNode(number);
  }
  let file: OpenFile;
  try {
    file = openFile(CONTROL, O_RDWR);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENODEV", "ENXIO", "ENOTDIR")) {
      throw Problem.of("unsupported", UNSUPPORTED, error);
    }
    throw error;
  }
  try {
    return new DmControl(file);
  } catch (error) {
    file[Symbol.dispose]();
    if (isErrno(error, "EPROTO", "ENOTTY", "EINVAL")) {
      throw Problem.of("unsupported", "This kernel's device mapper speaks another version of its language.", error);
    }
    throw error;
  }
}

const UNSUPPORTED =
  "This kernel has no device mapper: it was built without, or its module dm_mod isn't loaded (modprobe dm_mod).";

/** Whether the kernel has a device mapper now. Looking doesn't load it: where it isn't, there are no devices to list. */
export function mapperPresent(): boolean {
  return controlNumber() !== undefined;
}

function controlNumber(): Devnum | undefined {
  const misc = withErrno("read", "/proc/misc", () => readFileSync("/proc/misc", "utf8"));
  const minor = /^ *(\d+) device-mapper$/m.exec(misc)?.[1];
  return minor === undefined ? undefined : (`${MISC_MAJOR}:${minor}` as Devnum);
}

function ensureControlNode(number: Devnum): void {
  const there = withErrno("lstat", CONTROL, () => lstatSync(CONTROL, { bigint: true, throwIfNoEntry: false }));
  if (there?.isCharacterDevice() && devnum(there.rdev) === number) {
    return;
  }
  withErrno("mkdir", MAPPER_FOLDER, () => mkdirSync(dirname(CONTROL), { recursive: true, mode: 0o755 }));
  // Made aside and moved into place, so that nobody meets a half-made one and a wrong one never is in the way.
  const aside = `${MAPPER_FOLDER}/.control-${process.pid}`;
  call("mknod", [aside, S_IFCHR | 0o600, deviceOf(number)], ["mknod", CONTROL]);
  try {
    withErrno("rename", CONTROL, () => renameSync(aside, CONTROL));
  } catch (error) {
    unlinkSync(aside);
    throw error;
  }
}
