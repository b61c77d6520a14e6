/* Where to mount: a folder of the caller's, or one that is made under /run/media. */
import { chmodSync, chownSync, lstatSync, mkdirSync, readdirSync, readlinkSync, rmdirSync } from "node:fs";
import type { Caller } from "../caller";
import { withCredentials } from "../linux/credentials";
import { asKernelError, isErrno, type KernelError, withErrno } from "../linux/errno";
import { OpenFile, openFile } from "../linux/file";
import { readMounts } from "../linux/mountinfo";
import { inWords, Problem } from "../problem";
import { safeName } from "./name";

const O_PATH = 0o10000000;
const O_DIRECTORY = 0o200000;
const O_NOFOLLOW = 0o400000;
const MEDIA = "/run/media";
/** More of the same name than anybody mounts. */
const MOST_OF_A_NAME = 1000;

/**
 * Opens the folder that the caller wants something mounted on. It is looked at as it was opened, and mounted onto as it
 * was opened: what becomes of its path meanwhile doesn't matter.
 *
 * @returns the folder; its `path` is the real one, without links
 * @throws Problem notFound, notPermitted, invalid, busy where something is mounted there
 */
export function openTarget(caller: Caller, path: string): OpenFile {
  const open = () => openEmpty(path, caller);
  const folder = caller.uid === process.geteuid?.() ? open() : withCredentials(caller, open);
  try {
    if (readMounts().some(({ target }) => target === folder.path)) {
      throw new Problem("busy", `Something is mounted at ${path} already.`, {
        users: [{ kind: "mount", target: folder.path }],
      });
    }
    return folder;
  } catch (error) {
    folder[Symbol.dispose]();
    throw error;
  }
}

function openEmpty(path: string, caller: Caller): OpenFile {
  const folder = find(path);
  try {
    if (caller.uid !== 0 && Number(folder.stat().uid) !== caller.uid) {
      throw new Problem("notPermitted", `${path} isn't ${caller.name}'s own folder. Choose one that is, or none.`);
    }
    if (withErrno("readdir", path, () => readdirSync(`/proc/self/fd/${folder.fd}`)).length > 0) {
      throw new Problem("invalid", `${path} isn't empty: what is in it would be hidden. Choose an empty folder.`);
    }
    // The same descriptor under its real name.
    return new OpenFile(folder.fd, pathNow(folder));
  } catch (error) {
    folder[Symbol.dispose]();
    throw isErrno(error, "EACCES", "EPERM") ? outOfReach(path, error) : error;
  }
}

/** Where an open folder is at this moment: its real path, without links. */
export function pathNow({ fd, path }: OpenFile): string {
  return withErrno("readlink", path, () => readlinkSync(`/proc/self/fd/${fd}`));
}

function find(path: string): OpenFile {
  try {
    return openFile(path, O_PATH | O_DIRECTORY);
  } catch (error) {
    if (isErrno(error, "ENOENT")) {
      throw Problem.of("notFound", `There is no folder ${path} to mount on. Make it first, or name none.`, error);
    }
    if (isErrno(error, "EACCES", "EPERM")) {
      throw outOfReach(path, error);
    }
    if (isErrno(error, "ENOTDIR", "ELOOP", "ENAMETOOLONG")) {
      throw Problem.of("invalid", `${path} can't be mounted on: ${inWords(error.errno)}.`, error);
    }
    throw error;
  }
}

function outOfReach(path: string, error: KernelError): Problem {
  return Problem.of("notPermitted", `${path} can't be looked into with your rights. Choose a folder of yours.`, error);
}

/** A folder that was made to be mounted on. It goes with the scope, unless it is kept. */
export class MadeTarget implements Disposable {
  #kept = false;

  constructor(readonly folder: OpenFile) {}

  get path(): string {
    return this.folder.path;
  }

  /** It is in use now, and is taken away when it is not any more. */
  keep(): void {
    this.#kept = true;
  }

  [Symbol.dispose](): void {
    this.folder[Symbol.dispose]();
    if (!this.#kept) {
      rmdirSync(this.path);
    }
  }
}

/**
 * Makes a folder /run/media/<user>/<name>.
 * @param names what it may be called, the best first: the label, the UUID, the device
 */
export function makeTarget(caller: Caller, names: readonly string[]): MadeTarget {
  const parent = userFolder(caller);
  const name = names.map(safeName).find((candidate) => candidate !== "") ?? "disk";
  for (let number = 0; number < MOST_OF_A_NAME; number++) {
    const path = `${parent}/${number === 0 ? name : `${name} ${number}`}`;
    if (makeFolder(path, 0o700)) {
      try {
        return new MadeTarget(openFile(path, O_PATH | O_DIRECTORY | O_NOFOLLOW));
      } catch (error) {
        rmdirSync(path);
        throw error;
      }
    }
  }
  throw new Problem("invalid", `There are ${MOST_OF_A_NAME} folders called ${name} in ${parent} already.`);
}

/**
 * The user's own place under /run/media. Root's, so that nobody can swap a folder in it while it is mounted on; the
 * user's group may enter. One that is there already (udisks makes it, with an ACL) is left as it is.
 */
function userFolder(caller: Caller): string {
  ensureRootOnly(MEDIA, 0o755, 0);
  const path = `${MEDIA}/${safeName(caller.name) || caller.uid}`;
  ensureRootOnly(path, 0o750, caller.gid);
  return path;
}

function ensureRootOnly(path: string, mode: number, group: number): void {
  if (makeFolder(path, mode)) {
    withErrno("chown", path, () => chownSync(path, 0, group));
    // Whatever our umask is.
    withErrno("chmod", path, () => chmodSync(path, mode));
    return;
  }
  const found = withErrno("lstat", path, () => lstatSync(path));
  if (!found.isDirectory() || found.uid !== 0 || (found.mode & 0o022) !== 0) {
    throw new Problem("kernel", `${path} isn't a folder that only root can change. Mount somewhere else.`);
  }
}

/** @returns whether it wasn't there */
function makeFolder(path: string, mode: number): boolean {
  try {
    mkdirSync(path, { mode });
    return true;
  } catch (error) {
    const known = asKernelError(error, "mkdir", path);
    if (isErrno(known, "EEXIST")) {
      return false;
    }
    throw known;
  }
}
