/*
 * Acting with somebody else's rights on files, credentials(7): the file system uid, gid and groups of this one thread.
 * The system calls are made directly, as the C library's setgroups() would change every thread of the process.
 */
import { KernelError } from "./errno";
import { call } from "./libc";

const systemCalls = {
  x64: { setfsuid: 122, setfsgid: 123, getgroups: 115, setgroups: 116 },
  arm64: { setfsuid: 151, setfsgid: 152, getgroups: 158, setgroups: 159 },
} as const;

/** Whose rights. */
export interface Credentials {
  uid: number;
  gid: number;
  groups: readonly number[];
}

function numbers() {
  const { arch } = process;
  if (arch !== "x64" && arch !== "arm64") {
    throw new KernelError("ENOSYS", "setfsuid", arch);
  }
  return systemCalls[arch];
}

function setGroups(groups: readonly number[]): void {
  const list = Buffer.alloc(Math.max(groups.length, 1) * 4);
  groups.forEach((group, index) => {
    list.writeUInt32LE(group, index * 4);
  });
  call("syscallPointer", [numbers().setgroups, groups.length, list, 0], ["setgroups", String(groups.length)]);
}

function getGroups(): number[] {
  const count = call("syscallPointer", [numbers().getgroups, 0, null, 0], ["getgroups", "self"]);
  const list = Buffer.alloc(Math.max(count, 1) * 4);
  call("syscallPointer", [numbers().getgroups, count, list, 0], ["getgroups", "self"]);
  return Array.from({ length: count }, (_, index) => list.readUInt32LE(index * 4));
}

// setfsuid(2) answers with the id before and reports no error: asking once more, with an id that can't be, is the proof.
function setFileSystemId(which: "setfsuid" | "setfsgid", id: number): void {
  const number = numbers()[which];
  call("syscall", [number, id, 0, 0], [which, String(id)]);
  if (call("syscall", [number, -1, 0, 0], [which, "-1"]) !== id) {
    throw new KernelError("EPERM", which, String(id));
  }
}

/** Runs `body`, which must not wait for anything, with these rights on files, and takes them back on every way out. */
export function withCredentials<T>({ uid, gid, groups }: Credentials, body: () => T): T {
  const own = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0, groups: getGroups() };
  try {
    setGroups(groups);
    setFileSystemId("setfsgid", gid);
    // Last on the way down and first on the way up: with it go the capabilities that override permissions.
    setFileSystemId("setfsuid", uid);
    return body();
  } finally {
    setFileSystemId("setfsuid", own.uid);
    setFileSystemId("setfsgid", own.gid);
    setGroups(own.groups);
  }
}
