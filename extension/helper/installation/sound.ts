/*
 * Whether nobody but root can change what is at a path: root owns it and every folder above it, and nobody else may
 * write to any of them.
 */
import { lstatSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";

const GROUP_OR_OTHERS_WRITE = 0o022;

/** What is wrong, and where. */
export interface Flaw {
  path: string;
  /** Reads on after the path. */
  fault: string;
  /** What root can do about it, as a command. */
  remedy?: string;
}

/**
 * Looks from the top down: once a folder is root's alone, nobody else can exchange what is in it. For the same reason
 * a symbolic link is a flaw, wherever it leads, and so is a folder with the sticky bit, where others can make new
 * entries. Access control lists need no look of their own: what they let others write is in the mode as the group's.
 *
 * @param path absolute
 */
export function flawAt(path: string): Flaw | undefined {
  return (path === "/" ? undefined : flawAt(dirname(path))) ?? flawOf(path);
}

/** Looks at all that is in a folder, at any depth. */
export function flawWithin(folder: string): Flaw | undefined {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    const flaw = flawOf(path) ?? (entry.isDirectory() ? flawWithin(path) : undefined);
    if (flaw) {
      return flaw;
    }
  }
  return undefined;
}

function flawOf(path: string): Flaw | undefined {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (!stat) {
    return { path, fault: "is missing" };
  }
  if (stat.isSymbolicLink()) {
    return { path, fault: "is a symbolic link" };
  }
  if (!stat.isDirectory() && !stat.isFile()) {
    return { path, fault: "is neither a file nor a folder" };
  }
  if (stat.uid !== 0) {
    return { path, fault: `belongs to user ${stat.uid}, not to root`, remedy: `chown root ${path}` };
  }
  if ((stat.mode & GROUP_OR_OTHERS_WRITE) !== 0) {
    const mode = (stat.mode & 0o7777).toString(8).padStart(4, "0");
    return { path, fault: `can be written by others than root (mode ${mode})`, remedy: `chmod go-w ${path}` };
  }
  return undefined;
}

/** A sentence or two on what is wrong and what to do. */
export function describe({ path, fault, remedy }: Flaw): string {
  return `${path} ${fault}.${remedy ? ` As root, run: ${remedy}` : ""}`;
}
