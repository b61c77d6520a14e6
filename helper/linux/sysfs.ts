/* /sys, as far as block devices stand in it: what everybody may know without opening a device. */
import { readdirSync, readlinkSync, readSync } from "node:fs";
import { basename } from "node:path";
import { type Devnum, parseDevnum } from "./devnum";
import { asKernelError, errnoName, isErrno, KernelError, withErrno } from "./errno";
import { O_CLOEXEC, O_PATH, O_RDONLY, OpenFile, openFile } from "./file";
import { attempt, call, type Fd } from "./libc";

// More than any file of /sys has, whatever the size of a page.
const room = Buffer.alloc(65536);
const NEWLINE = 0x0a;
const GONE = ["ENOENT", "ENOTDIR", "ENODEV", "ENXIO", "EINVAL"];

/** <linux/fcntl.h>: a relative path is one from the folder that the process is in. */
const AT_FDCWD = -100;

/**
 * Reads a file of /sys into `room`, whose bytes are good until the next is read. By the calls themselves: each list of
 * devices reads thousands, and half of them aren't there.
 *
 * @param from the folder that the path is relative to
 * @returns its length without its newline; `undefined` where it is not there, or its device just went
 */
function readIntoRoom(path: string, from?: OpenFile): number | undefined {
  const fd = attempt("openat", [from?.fd ?? AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0], ["open", path]);
  if (fd < 0) {
    return absent(fd, path);
  }
  try {
    // There is no file in /sys that isn't read whole at once, where there is room for it.
    const length = attempt("read", [fd, room, room.length], ["read", path]);
    if (length < 0) {
      return absent(length, path);
    }
    return room[length - 1] === NEWLINE ? length - 1 : length;
  } finally {
    call("close", [fd], ["close", path]);
  }
}

function absent(result: number, path: string): undefined {
  const errno = errnoName(-result);
  if (!GONE.includes(errno)) {
    throw new KernelError(errno, "read", path);
  }
}

/** A file of /sys as bytes; `undefined` where it is not there, or its device just went. */
export function readBytes(path: string): Buffer | undefined {
  const length = readIntoRoom(path);
  return length === undefined ? undefined : Buffer.from(room.subarray(0, length));
}

/** As `readBytes`, decoded. */
export function readText(path: string): string | undefined {
  const length = readIntoRoom(path);
  return length === undefined ? undefined : room.toString("utf8", 0, length);
}

/** As `readText`, for a file with a decimal number in it. @param from the folder that the path is relative to */
export function readNumber(path: string, from?: OpenFile): number | undefined {
  const length = readIntoRoom(path, from);
  return length ? Number(room.toString("latin1", 0, length)) : undefined;
}

/**
 * A number that each disk that stands on no hardware has in /sys, to be asked for again and again: the files stay open, as
 * opening and closing one takes four times as long as reading it.
 */
export class KeptNumbers {
  readonly #files = new Map<string, OpenFile>();

  /**
   * @param name of the file in the disk's folder
   * @param most how many stay open
   */
  constructor(
    readonly name: string,
    readonly most: number,
  ) {}

  /**
   * The number of a disk; `undefined` where the kernel has none for it.
   * @param folder that of all such disks
   */
  read(disk: string, folder: OpenFile): number | undefined {
    const path = `${disk}/${this.name}`;
    const kept = this.#files.get(disk);
    if (!kept && this.#files.size >= this.most) {
      return readNumber(path, folder);
    }
    // A disk that was removed says so by the file that was its own, even if there is another of its name by now.
    const known = kept && readOpenNumber(kept);
    if (known !== undefined) {
      return known;
    }
    kept?.[Symbol.dispose]();
    this.#files.delete(disk);
    const fd = attempt("openat", [folder.fd, path, O_RDONLY | O_CLOEXEC, 0], ["open", path]);
    if (fd < 0) {
      return absent(fd, path);
    }
    const file = new OpenFile(fd as Fd, path);
    this.#files.set(disk, file);
    return readOpenNumber(file);
  }
}

function readOpenNumber(file: OpenFile): number | undefined {
  try {
    const length = withErrno("read", file.path, () => readSync(file.fd, room, 0, room.length, 0));
    return Number(room.toString("latin1", 0, length));
  } catch (error) {
    if (isErrno(error, ...GONE)) {
      return undefined;
    }
    throw error;
  }
}

/** The names in a folder of /sys; none where it is not there. */
export function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch (error) {
    const known = asKernelError(error, "readdir", path);
    if (isErrno(known, "ENOENT", "ENOTDIR", "ENODEV")) {
      return [];
    }
    throw known;
  }
}

/** The kernel's names of all disks and partitions. */
export function allNames(): string[] {
  return list("/sys/class/block");
}

// Those that stand on no hardware. What is in /sys/block are links to there, and more parts of a path take longer.
const VIRTUAL = "/sys/devices/virtual/block";

/** The folder of a whole disk by its kernel name: "loop3". */
export function diskFolder(name: string): string {
  return `${/^(loop|dm-)\d+$/.test(name) ? VIRTUAL : "/sys/block"}/${name}`;
}

/**
 * The folder of all disks that stand on no hardware, as loop devices. A path costs by its length, more than a call: where
 * many of them are looked at, they are looked for from there.
 */
export function openVirtualDisks(): OpenFile {
  return openFile(VIRTUAL, O_PATH);
}

/** Whether something is there. @param from the folder that the path is relative to */
export function isThere(path: string, from?: OpenFile): boolean {
  return attempt("faccessat", [from?.fd ?? AT_FDCWD, path, 0, 0], ["faccessat", path]) === 0;
}

/** The number of a disk or partition by its folder; `undefined` where the kernel has no such device. */
export function devnumOf(folder: string): Devnum | undefined {
  const text = readText(`${folder}/dev`);
  return text === undefined ? undefined : parseDevnum(text);
}

/** The kernel's name of a device by its number: "dm-0", "loop3p1"; `undefined` where there is none. */
export function nameOf(number: Devnum): string | undefined {
  try {
    return basename(readlinkSync(`/sys/dev/block/${number}`));
  } catch (error) {
    if (isErrno(asKernelError(error, "readlink", number), "ENOENT")) {
      return undefined;
    }
    throw error;
  }
}

/** The node that people know a device by: /dev/mapper/NAME for one of the device mapper, /dev/NAME for any other. */
export function nodeOf(name: string): string {
  const mapped = readText(`/sys/block/${name}/dm/name`);
  return mapped === undefined ? `/dev/${name.replaceAll("!", "/")}` : `/dev/mapper/${mapped}`;
}

/** The devices that stand on a disk or partition (device mapper, RAID, bcache …), by their nodes. */
export function holdersOf(folder: string): string[] {
  return list(`${folder}/holders`).map(nodeOf).sort();
}

/**
 * As `holdersOf`, of all disks and partitions at once, by their kernel names: from the few that can be holders, rather
 * than from the many that they could stand on. Loop devices are no holders, whatever their images are.
 *
 * @param names of all disks
 */
export function allHolders(names: readonly string[]): ReadonlyMap<string, string[]> {
  const holders = new Map<string, string[]>();
  for (const name of names.filter((name) => !name.startsWith("loop"))) {
    for (const below of list(`${diskFolder(name)}/slaves`)) {
      holders.set(below, [...(holders.get(below) ?? []), nodeOf(name)].sort());
    }
  }
  return holders;
}

/** A partition that the kernel knows; start and size in bytes. */
export interface KernelPartition {
  name: string;
  number: number;
  devnum: Devnum;
  start: number;
  size: number;
}

// `start` and `size` in /sys are in these units whatever the device's own sectors are.
const SYSFS_SECTOR = 512;

/** The partitions that the kernel knows of a disk, by number. */
export function partitionsOf(disk: string): KernelPartition[] {
  const partitions: KernelPartition[] = [];
  for (const name of list(diskFolder(disk))) {
    const folder = `${diskFolder(disk)}/${name}`;
    if (!name.startsWith(disk)) {
      continue;
    }
    const number = readNumber(`${folder}/partition`);
    const devnum = devnumOf(folder);
    const start = readNumber(`${folder}/start`);
    const size = readNumber(`${folder}/size`);
    if (number !== undefined && devnum !== undefined && start !== undefined && size !== undefined) {
      partitions.push({ name, number, devnum, start: start * SYSFS_SECTOR, size: size * SYSFS_SECTOR });
    }
  }
  return partitions.sort((a, b) => a.number - b.number);
}

/** Whether the kernel looks for partitions on a disk, for kernels that bind a loop device but drop the wish to. */
export function partitionScanEnabled(disk: string): boolean {
  const flag = readNumber(`${diskFolder(disk)}/partscan`); // since Linux 6.10
  if (flag !== undefined) {
    return flag === 1;
  }
  // GENHD_FL_NO_PART_SCAN, until Linux 5.16; the bit has had no other meaning since.
  const capability = Number.parseInt(readText(`${diskFolder(disk)}/capability`) ?? "0", 16);
  return (capability & 0x200) === 0 && readNumber(`${diskFolder(disk)}/loop/partscan`) !== 0;
}
