/*
 * Mounting, unmounting and putting back: fsopen(2), fsconfig(2), fsmount(2), move_mount(2) and open_tree(2) where the
 * kernel has them (Linux 5.2), else mount(2); umount(2). Numbers are those of <linux/mount.h>, <sys/mount.h> and
 * <asm-generic/unistd.h>.
 */
import { isErrno, KernelError } from "./errno";
import { OpenFile } from "./file";
import { call, callAsync, type Fd } from "./libc";

const UMOUNT_NOFOLLOW = 8;
const MNT_DETACH = 2;
// The newer system calls have the same numbers everywhere.
const SYS_OPEN_TREE = 428;
const SYS_MOVE_MOUNT = 429;
const SYS_FSOPEN = 430;
const SYS_FSCONFIG = 431;
const SYS_FSMOUNT = 432;
const SYS_MOUNT_SETATTR = 442;
const AT_FDCWD = -100;
const AT_EMPTY_PATH = 0x1000;
const OPEN_TREE_CLONE = 1;
const OPEN_TREE_CLOEXEC = 0o2000000;
const MOVE_MOUNT_F_EMPTY_PATH = 4;
const MOVE_MOUNT_T_EMPTY_PATH = 0x40;
const FSOPEN_CLOEXEC = 1;
const FSMOUNT_CLOEXEC = 1;
const FSCONFIG_SET_FLAG = 0;
const FSCONFIG_SET_STRING = 1;
const FSCONFIG_CMD_CREATE = 6;
const MOUNT_ATTR_IDMAP = 0x100000;
const MOUNT_ATTR_SIZE = 32;
// How long a message in a file system's log can get is not said anywhere: the kernel cuts what doesn't fit.
const LOG_MESSAGE_SIZE = 4096;

/** What can be said of every mount, and what mount(2) and fsmount(2) call it; `superblock`: of the file system as well. */
const flags = {
  ro: { ms: 1, attribute: 1, superblock: true },
  nosuid: { ms: 2, attribute: 2, superblock: false },
  nodev: { ms: 4, attribute: 4, superblock: false },
  noexec: { ms: 8, attribute: 8, superblock: false },
  sync: { ms: 0x10, attribute: 0, superblock: true },
  dirsync: { ms: 0x80, attribute: 0, superblock: true },
  nosymfollow: { ms: 0x100, attribute: 0x200000, superblock: false },
  noatime: { ms: 0x400, attribute: 0x10, superblock: false },
  nodiratime: { ms: 0x800, attribute: 0x80, superblock: false },
  relatime: { ms: 0x200000, attribute: 0, superblock: false },
  strictatime: { ms: 0x1000000, attribute: 0x20, superblock: false },
  lazytime: { ms: 0x2000000, attribute: 0, superblock: true },
} as const;

export type MountFlag = keyof typeof flags;

export function isMountFlag(option: string): option is MountFlag {
  return Object.hasOwn(flags, option);
}

/** What to mount. `options` are the file system's own: "uid=1000", "noload". */
export interface FileSystemWish {
  source: string;
  fileSystem: string;
  flags: readonly MountFlag[];
  options: readonly string[];
}

/** The kernel refused to mount; `log` is what the file system itself said about it, if it did. */
export class MountRefusal extends KernelError {
  constructor(
    { errno, call, target }: KernelError,
    readonly log: readonly string[],
  ) {
    super(errno, call, target);
  }
}

/**
 * A context to mount a file system by; the kernel loads the module that it needs, if it may and has it.
 * @returns `undefined` where this kernel has no such call (before Linux 5.2), or a container forbids it
 * @throws KernelError ENODEV where it has no such file system
 */
export async function openFileSystem(fileSystem: string): Promise<OpenFile | undefined> {
  try {
    const fd = await callAsync("fsopen", [SYS_FSOPEN, fileSystem, FSOPEN_CLOEXEC], ["fsopen", fileSystem]);
    return new OpenFile(fd as Fd, fileSystem);
  } catch (error) {
    if (isErrno(error, "ENOSYS", "EPERM")) {
      return undefined;
    }
    throw error;
  }
}

/**
 * Mounts a file system that is in no tree yet, as `placeMount` puts it into one. It can take long: a journal is replayed.
 * @param context of `openFileSystem`; it is of no use afterwards
 * @throws MountRefusal
 */
export async function makeMount(context: OpenFile, wish: FileSystemWish): Promise<OpenFile> {
  const configure = (command: number, key: string | null, value: string | null) =>
    callAsync(
      "fsconfig",
      [SYS_FSCONFIG, context.fd, command, key, value, 0],
      ["fsconfig", key === null ? wish.source : `${wish.source} option ${key}`],
    );
  try {
    await configure(FSCONFIG_SET_STRING, "source", wish.source);
    for (const flag of wish.flags) {
      if (flags[flag].superblock) {
        await configure(FSCONFIG_SET_FLAG, flag, null);
      }
    }
    for (const option of wish.options) {
      const [key = "", value] = splitOption(option);
      await configure(value === undefined ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING, key, value ?? null);
    }
    await configure(FSCONFIG_CMD_CREATE, null, null);
    const attributes = wish.flags.reduce((all, flag) => all | flags[flag].attribute, 0);
    const fd = call("syscall", [SYS_FSMOUNT, context.fd, FSMOUNT_CLOEXEC, attributes], ["fsmount", wish.source]);
    return new OpenFile(fd as Fd, wish.source);
  } catch (error) {
    throw error instanceof KernelError ? new MountRefusal(error, readLog(context)) : error;
  }
}

function splitOption(option: string): [key: string, value?: string] {
  const equals = option.indexOf("=");
  return equals < 0 ? [option] : [option.slice(0, equals), option.slice(equals + 1)];
}

// Each read gives one message: "e ", "w " or "i ", and a line.
function readLog(context: OpenFile): string[] {
  const said: string[] = [];
  const buffer = Buffer.alloc(LOG_MESSAGE_SIZE);
  try {
    for (;;) {
      const length = call("read", [context.fd, buffer, buffer.length], ["read", context.path]);
      if (length <= 0) {
        return said;
      }
      said.push(buffer.toString("utf8", 0, length).slice(2).trim());
    }
  } catch {
    // ENODATA: that was all.
    return said;
  }
}

/** Puts a mount that is in no tree onto a folder that is open (O_PATH will do), wherever that has been moved to. */
export function placeMount(mount: OpenFile, folder: OpenFile): void {
  const how = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
  call("move_mount", [SYS_MOVE_MOUNT, mount.fd, "", folder.fd, "", how], ["move_mount", folder.path]);
}

/** Mounts as kernels before Linux 5.2 know it, onto a folder that is open. @throws MountRefusal */
export async function mountOnto(folder: OpenFile, wish: FileSystemWish): Promise<void> {
  const all = wish.flags.reduce((sum, flag) => sum | flags[flag].ms, 0);
  const data = wish.options.join(",");
  try {
    const args = [wish.source, `/proc/self/fd/${folder.fd}`, wish.fileSystem, all, data];
    await callAsync("mount", args, ["mount", wish.source]);
  } catch (error) {
    throw error instanceof KernelError ? new MountRefusal(error, []) : error;
  }
}

/**
 * Has a mount that is in no tree yet show its files with other owners.
 * @param namespace a user namespace whose map says which: its inner ids are those on the disk
 * @throws KernelError ENOSYS before Linux 5.12, EINVAL where this file system can't
 */
export function setIdMap(mount: OpenFile, namespace: OpenFile): void {
  // `struct mount_attr`: attr_set, attr_clr, propagation, userns_fd.
  const attributes = Buffer.alloc(MOUNT_ATTR_SIZE);
  attributes.writeBigUInt64LE(BigInt(MOUNT_ATTR_IDMAP), 0);
  attributes.writeBigUInt64LE(BigInt(namespace.fd), 24);
  const args = [SYS_MOUNT_SETATTR, mount.fd, "", AT_EMPTY_PATH, attributes, attributes.length];
  call("mount_setattr", args, ["mount_setattr", mount.path]);
}

/**
 * Unmounts what is mounted last at the target; with dirty data that takes as long as writing it.
 * @param lazy take it out of the tree at once and let it go when nobody uses it any more
 * @throws KernelError EBUSY where files on it are open, EINVAL where nothing is mounted there
 */
export async function unmount(target: string, { lazy = false } = {}): Promise<void> {
  await callAsync("umount2", [target, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)], ["umount2", target]);
}

/** A copy of a mount that is in no tree; `undefined` where this kernel can't (before Linux 5.2). */
export function cloneMount(target: string): OpenFile | undefined {
  try {
    const fd = call(
      "open_tree",
      [SYS_OPEN_TREE, AT_FDCWD, target, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC],
      ["open_tree", target],
    );
    return new OpenFile(fd as Fd, target);
  } catch (error) {
    if (isErrno(error, "ENOSYS", "EPERM", "EINVAL")) {
      return undefined;
    }
    throw error;
  }
}
