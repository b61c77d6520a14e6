/* The user database, by the C library, so that LDAP and the like count as much as /etc/passwd. */
import koffi from "koffi";

const program = koffi.load(null);
const passwd = koffi.struct({
  pw_name: "const char *",
  pw_passwd: "const char *",
  pw_uid: "uint32_t",
  pw_gid: "uint32_t",
});
const getpwuid = program.func("getpwuid", koffi.pointer(passwd), ["uint32_t"]);
const getgrouplist = program.func("int getgrouplist(const char *user, uint32_t group, void *groups, void *count)");

export interface User {
  name: string;
  uid: number;
  /** The primary group. */
  gid: number;
}

/** The user of this id, `undefined` where there is none. */
export function userById(uid: number): User | undefined {
  const found = getpwuid(uid);
  if (found === null) {
    return undefined;
  }
  const entry = koffi.decode(found, passwd) as { pw_name: string; pw_gid: number };
  return { name: entry.pw_name, uid, gid: entry.pw_gid };
}

/** All the groups that a user is in, the primary one included. */
export function groupsOf(user: User): number[] {
  // NGROUPS_MAX in <linux/limits.h>
  const room = 65536;
  const groups = Buffer.alloc(room * 4);
  const count = Buffer.alloc(4);
  count.writeInt32LE(room);
  getgrouplist(user.name, user.gid, groups, count);
  return Array.from({ length: count.readInt32LE() }, (_, index) => groups.readUInt32LE(index * 4));
}

const group = koffi.struct({ gr_name: "const char *", gr_passwd: "const char *", gr_gid: "uint32_t" });
const getgrnam = program.func("getgrnam", koffi.pointer(group), ["const char *"]);

/** The id of the group of this name, `undefined` where there is none. */
export function groupByName(name: string): number | undefined {
  const found = getgrnam(name);
  return found === null ? undefined : (koffi.decode(found, group) as { gr_gid: number }).gr_gid;
}
