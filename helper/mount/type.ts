/* Which of the kernel's file systems can mount what is on a device. */
import { existsSync, readFileSync } from "node:fs";
import { release } from "node:os";
import { isErrno, type KernelError, withErrno } from "../linux/errno";
import type { OpenFile } from "../linux/file";
import { openFileSystem } from "../linux/mount";
import { Problem } from "../problem";
import type { Content } from "../protocol";

// libblkid's names that are not the kernel's, or that more than one of the kernel's can mount; the better one first.
const drivers: Record<string, readonly string[]> = {
  ext2: ["ext2", "ext4"],
  ext3: ["ext3", "ext4"],
  ntfs: ["ntfs3", "ntfs"],
};

// Modules that are not called like their file system.
const modules: Record<string, string> = { iso9660: "isofs", ext2: "ext4", ext3: "ext4" };

/** File systems that can't be written to, whatever the device: the kernel says so only by failing, or not at all. */
export const readOnlyFileSystems: ReadonlySet<string> = new Set(["squashfs", "erofs", "iso9660", "cramfs", "romfs"]);

/**
 * The file systems to try, as the kernel calls them.
 * @param wish what the caller has named; only where libblkid can't tell it may be any other than what is there
 * @throws Problem invalid where there is nothing to mount, with what is there instead
 */
export function typesFor(content: Content, device: string, wish?: string): readonly string[] {
  const found = content.kind === "filesystem" ? (drivers[content.type] ?? [content.type]) : [];
  if (wish === undefined) {
    if (found.length === 0) {
      throw new Problem("invalid", `${device} can't be mounted: ${inPlaceOf(content)}`, { device });
    }
    return found;
  }
  const untold = content.kind === "other" && (content.type === "" || content.type === "ambivalent");
  if (!untold && !found.includes(wish)) {
    const there = content.kind === "filesystem" ? `there is ${content.type} on it` : inPlaceOf(content);
    throw new Problem("invalid", `${device} can't be mounted as ${wish}: ${there}`, { device });
  }
  return [wish];
}

// What the commonest parts are parts of.
const wholes: Record<string, string> = {
  linux_raid_member:
    "it is a part of a RAID array (linux_raid_member). Assemble that first (mdadm --assemble), and mount the array.",
  LVM2_member:
    "it is a part of an LVM volume group (LVM2_member). Activate that first (vgchange --activate y), and mount its volumes.",
};

/** What is there instead of a file system, and what to do with it; the end of a sentence. */
function inPlaceOf({ kind, type }: Content): string {
  switch (kind) {
    case "empty":
      return "it is empty. Make a file system on it first (mkfs).";
    case "partitionTable":
      return "it is divided into partitions. Mount one of those.";
    case "crypto":
      return `it is encrypted (${type}). Open it first (cryptsetup open).`;
    case "raid":
      return wholes[type] ?? `it is a part of something larger (${type}). Put that together first.`;
    default:
      return type === "swap"
        ? "it is swap space."
        : type === "ambivalent"
          ? "more than one file system has left its mark on it. Name the one that is meant."
          : "there is no file system on it that libblkid knows.";
  }
}

/** A file system that this kernel has; without a context where it has no fsopen(2). */
export interface Driver {
  fileSystem: string;
  context: OpenFile | undefined;
}

/**
 * The first of some file systems that this kernel has or can load a module for. Whoever gets the context closes it.
 * @throws Problem unsupported, naming the module that is missing
 */
export async function openDriver(types: readonly string[], device: string): Promise<Driver> {
  let missing: KernelError | undefined;
  for (const fileSystem of types) {
    try {
      const context = await openFileSystem(fileSystem);
      // fsopen() has had the module loaded; mount(2) does so itself, when its time has come.
      if (context && !isForBlockDevices(fileSystem)) {
        context[Symbol.dispose]();
        throw new Problem("invalid", `${device} can't be mounted as ${fileSystem}: that needs no device.`, { device });
      }
      return { fileSystem, context };
    } catch (error) {
      if (!isErrno(error, "ENODEV")) {
        throw error;
      }
      missing ??= error;
    }
  }
  throw unsupported(types[0] ?? "", device, missing);
}

/** That the kernel has no such file system, and which module would bring it. */
export function unsupported(fileSystem: string, device: string, cause?: KernelError): Problem {
  const module = modules[fileSystem] ?? fileSystem;
  // A kernel without loadable modules has no such file.
  const advice = existsSync("/proc/modules")
    ? `Load its module ("sudo modprobe ${module}"); if there is none, install the package that has it ` +
      `(Ubuntu: linux-modules-extra-${release()}).`
    : `It was built without, and can't load its module ${module}.`;
  const message = `${device} can't be mounted: this kernel has no ${fileSystem}. ${advice}`;
  return cause
    ? Problem.of("unsupported", message, cause, { device })
    : new Problem("unsupported", message, { device });
}

function isForBlockDevices(fileSystem: string): boolean {
  const list = withErrno("read", "/proc/filesystems", () => readFileSync("/proc/filesystems", "utf8"));
  // fuseblk is one, but it is a program that does the work, and there is none.
  return fileSystem !== "fuseblk" && list.split("\n").includes(`\t${fileSystem}`);
}
