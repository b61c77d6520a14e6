/* Mounts, as /proc/…/mountinfo tells them: proc_pid_mountinfo(5). */
import { readFileSync, statSync } from "node:fs";
import { type Devnum, devnum, parseDevnum } from "./devnum";
import { withErrno } from "./errno";
import type { OpenFile } from "./file";
import { PolledFile } from "./polledFile";

const OUR_MOUNTS = "/proc/self/mountinfo";

/** One line: what is mounted where. */
export interface MountEntry {
  /** Tells it from all others that there are; `mnt_id` of a descriptor in /proc/…/fdinfo. */
  id: number;
  devnum: Devnum;
  /** What of the file system is mounted: "/" unless it is a bind mount or a subvolume. */
  root: string;
  target: string;
  options: string[];
  fileSystem: string;
  source: string;
  superOptions: string[];
}

/** A path as the kernel lists it: space, tab, newline, backslash and "#" are written as their octal bytes. */
export function unescapeOctal(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** All the mounts that a text of mountinfo lists, in its order. */
export function parseMountinfo(text: string): MountEntry[] {
  const entries: MountEntry[] = [];
  for (const line of text.split("\n")) {
    const fields = line.split(" ");
    // Between the sixth field and the "-" stand optional ones.
    const separator = fields.indexOf("-", 6);
    const [id, , number, root, target, options] = fields;
    const [fileSystem, source, superOptions] = fields.slice(separator + 1);
    if (separator < 0 || !number || !root || !target || !options || !fileSystem) {
      continue;
    }
    entries.push({
      id: Number(id),
      devnum: parseDevnum(number),
      root: unescapeOctal(root),
      target: unescapeOctal(target),
      options: options.split(","),
      fileSystem: unescapeOctal(fileSystem),
      source: unescapeOctal(source ?? ""),
      superOptions: (superOptions ?? "").split(","),
    });
  }
  return entries;
}

/** What is mounted in a process's mount namespace. @param process a process id, or our own */
export function readMounts(process: number | "self" = "self"): MountEntry[] {
  return parseMountinfo(readFileSync(`/proc/${process}/mountinfo`, "utf8"));
}

/** Those of our own that can be of a block device. Most of very many are not, and to take a line apart takes longest. */
export function readDeviceMounts(): MountEntry[] {
  const lines = readFileSync(OUR_MOUNTS, "utf8").split("\n");
  return parseMountinfo(lines.filter((line) => !/^\d+ \d+ 0:/.test(line) || line.includes(" /dev/")).join("\n"));
}

const deviceMounts = new PolledFile(OUR_MOUNTS, readDeviceMounts);

/**
 * As `readDeviceMounts`, read anew only where something has been mounted or unmounted since. Of folders that are renamed
 * the kernel says nothing: the targets may be called otherwise by now.
 */
export function knownDeviceMounts(): readonly MountEntry[] {
  return deviceMounts.says();
}

/** The id of the mount that a file or folder was opened in: proc_pid_fdinfo(5), Linux 3.15. */
export function mountIdOf({ fd, path }: OpenFile): number {
  const info = withErrno("read", path, () => readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"));
  return Number(/^mnt_id:\s*(\d+)$/m.exec(info)?.[1]);
}

/**
 * The block device under a mount. File systems of several devices (btrfs) have a number of no device, and name one of
 * their devices as the source.
 */
export function deviceUnder(mount: MountEntry): Devnum | undefined {
  if (!mount.devnum.startsWith("0:")) {
    return mount.devnum;
  }
  if (!mount.source.startsWith("/dev/")) {
    return undefined;
  }
  const node = statSync(mount.source, { bigint: true, throwIfNoEntry: false });
  return node?.isBlockDevice() ? devnum(node.rdev) : undefined;
}
