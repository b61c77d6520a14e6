/* On whose behalf the helper acts, and opening files with that user's rights. */
import type { BigIntStats } from "node:fs";
import { withCredentials } from "./linux/credentials";
import { isErrno } from "./linux/errno";
import { O_PATH, O_RDONLY, O_RDWR, type OpenFile, openFile } from "./linux/file";
import { groupsOf, userById } from "./linux/users";
import { inWords, Problem } from "./problem";

/** The group that owns nothing, for a user of whom no group is known: never our own, which is root's. */
const NOBODY = 65534;

export interface Caller {
  uid: number;
  gid: number;
  groups: readonly number[];
  name: string;
}

/**
 * Who sudo or polkit says has started us; else whoever we run as. Both clear the variables of whom they elevate and
 * set their own, so that nobody can pass for somebody else.
 */
export function identifyCaller(environment: NodeJS.ProcessEnv): Caller {
  const own = process.getuid?.() ?? 0;
  const named = own === 0 ? (environment.SUDO_UID ?? environment.PKEXEC_UID) : undefined;
  const uid = named !== undefined && /^\d+$/.test(named) ? Number(named) : own;
  const user = userById(uid);
  if (!user) {
    // No entry in the user database, as in many a container: then there are no groups to look up either.
    const ownGroups = { gid: process.getgid?.() ?? NOBODY, groups: process.getgroups?.() ?? [] };
    return { uid, name: `${uid}`, ...(uid === own ? ownGroups : { gid: NOBODY, groups: [] }) };
  }
  return { ...user, groups: uid === own ? (process.getgroups?.() ?? []) : groupsOf(user) };
}

function asCaller<T>(caller: Caller, body: () => T): T {
  return caller.uid === process.geteuid?.() ? body() : withCredentials(caller, body);
}

/** An image that the caller may read, opened. */
export interface OpenedImage {
  file: OpenFile;
  stat: BigIntStats;
  readOnly: boolean;
}

/**
 * Opens an image with the caller's own rights. What is looked at is what is opened: the path is resolved once, to
 * something that can neither be read nor keep us waiting (a FIFO, a tape), and opened by that.
 *
 * @param readOnly "auto": writable where the caller may write, else read-only
 * @throws Problem notFound, notPermitted, or invalid where it is no regular file nor block device
 */
export function openImage(caller: Caller, path: string, readOnly: boolean | "auto"): OpenedImage {
  return asCaller(caller, () => {
    using found = find(path, caller);
    const stat = found.stat();
    if (!stat.isFile() && !stat.isBlockDevice()) {
      throw new Problem("invalid", `${path} is ${kindOf(stat)}. Only a file or a block device can be attached.`);
    }
    const reopen = (flags: number) => openFile(`/proc/self/fd/${found.fd}`, flags);
    if (readOnly !== true) {
      try {
        return { file: reopen(O_RDWR), stat, readOnly: false };
      } catch (error) {
        if (!isErrno(error, "EACCES", "EPERM", "EROFS")) {
          throw refusal(error, path, caller, "written");
        }
        if (readOnly === false) {
          throw refusal(error, path, caller, "written");
        }
      }
    }
    try {
      return { file: reopen(O_RDONLY), stat, readOnly: true };
    } catch (error) {
      throw refusal(error, path, caller, "read");
    }
  });
}

function find(path: string, caller: Caller): OpenFile {
  try {
    return openFile(path, O_PATH);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR") && path.includes("\uFFFD")) {
      throw Problem.of(
        "notFound",
        `The name of ${path} isn't valid UTF-8, so it can't be asked for by name. Rename the file and try again.`,
        error,
      );
    }
    if (isErrno(error, "ENOENT", "ENOTDIR")) {
      throw Problem.of("notFound", `There is no file ${path}. It may have been moved or deleted.`, error);
    }
    throw refusal(error, path, caller, "reached");
  }
}

function refusal(error: unknown, path: string, caller: Caller, deed: "read" | "written" | "reached"): unknown {
  if (isErrno(error, "EACCES", "EPERM")) {
    const advice = "Change its permissions or those of its folder, or ask its owner.";
    return Problem.of("notPermitted", `${path} can't be ${deed} by ${caller.name}. ${advice}`, error);
  }
  if (isErrno(error, "EROFS")) {
    return Problem.of("notPermitted", `${path} is on a read-only file system. Attach it read-only.`, error);
  }
  if (isErrno(error, "ETXTBSY")) {
    return Problem.of("busy", `${path} is in use as swap space or a running program.`, error, { users: [] });
  }
  return isErrno(error, "ELOOP", "ENAMETOOLONG", "EISDIR")
    ? Problem.of("invalid", `${path} can't be opened: ${inWords(error.errno)}.`, error)
    : error;
}

function kindOf(stat: BigIntStats): string {
  if (stat.isDirectory()) {
    return "a folder";
  }
  if (stat.isSocket()) {
    return "a socket";
  }
  if (stat.isFIFO()) {
    return "a named pipe";
  }
  return "a character device";
}
