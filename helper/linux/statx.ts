/* statx(2) by its bare call: Node's own takes several times as long, which is noticed where thousands are looked at. */
import { type Devnum, deviceOf } from "./devnum";
import { KernelError } from "./errno";
import type { OpenFile } from "./file";
import { call } from "./libc";

const systemCalls = { x64: 332, arm64: 291 } as const;

// <linux/fcntl.h>, <linux/stat.h>
const AT_EMPTY_PATH = 0x1000;
const STATX_BASIC_STATS = 0x7ff;
const S_IFMT = 0o170000;
const S_IFREG = 0o100000;
/** `struct statx`, and where its fields stand: stx_mode, stx_ino, stx_size, stx_dev_major, stx_dev_minor. */
const STATX_SIZE = 256;
const at = { mode: 28, inode: 32, size: 40, major: 136, minor: 140 } as const;

/** Which file it is and how long, as bytes to compare. */
export const IDENTITY_SIZE = 24;
const answer = Buffer.alloc(STATX_SIZE);

/** Takes down the identity of a regular file. @returns false where it isn't one */
export function readIdentity(file: OpenFile, identity: Buffer): boolean {
  return take(file, AT_EMPTY_PATH, identity);
}

function take(file: OpenFile, flags: number, identity: Buffer): boolean {
  const { arch } = process;
  if (arch !== "x64" && arch !== "arm64") {
    throw new KernelError("ENOSYS", "statx", arch);
  }
  call("statx", [systemCalls[arch], file.fd, "", flags, STATX_BASIC_STATS, answer], ["statx", file.path]);
  answer.copy(identity, 0, at.inode, at.size + 8);
  answer.copy(identity, 16, at.major, at.minor + 4);
  return (answer.readUInt16LE(at.mode) & S_IFMT) === S_IFREG;
}

const AT_STATX_DONT_SYNC = 0x4000;

/** Which regular file it is, by what is known here without asking a server; the size in bytes. `undefined` for others. */
export function knownIdentity(file: OpenFile): { dev: bigint; ino: bigint; size: number } | undefined {
  const identity = Buffer.alloc(IDENTITY_SIZE);
  if (!take(file, AT_EMPTY_PATH | AT_STATX_DONT_SYNC, identity)) {
    return undefined;
  }
  const { inode, size, devnum } = decodeIdentity(identity);
  return { dev: deviceOf(devnum as Devnum), ino: inode, size };
}

/** What `readIdentity` took down; the size in bytes. */
export function decodeIdentity(identity: Buffer): { inode: bigint; size: number; devnum: string } {
  return {
    inode: identity.readBigUInt64LE(0),
    size: Number(identity.readBigUInt64LE(8)),
    devnum: `${identity.readUInt32LE(16)}:${identity.readUInt32LE(20)}`,
  };
}
