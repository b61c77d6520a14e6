/*
 * Installing and uninstalling, as root. A version is made in a folder beside its place, written to the disk, tried, and
 * renamed into its place: at no moment is there half a helper.
 */
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import type { Note } from "./installed";
import { ENGINE, HELPER, INSTALLER, LAUNCHER, NATIVE, NOTE, type Places, policyFile, RUNTIME } from "./places";
import { chooseRuntime, type Runtime } from "./runtime";
import { describe, flawAt } from "./sound";
import { launcher, policy } from "./texts";

/** Modes of folders and programs, and of other files. */
const OPEN = 0o755;
const FILE = 0o644;
/** What a try of the helper may take, in milliseconds. */
const PATIENCE = 60_000;

/**
 * Installs a version and takes every other away.
 * @param sources the folder with the built helper
 * @returns what runs it, and whether polkit was told
 * @throws Error with a sentence for people
 */
export function install(sources: string, version: string, places: Places): { runtime: string; policy: boolean } {
  takeFolder(places.base);
  const target = join(places.base, version);
  const draft = mkdtempSync(join(places.base, ".new-"));
  try {
    const runtime = fill(draft, sources, target);
    renameOver(draft, target);
    for (const name of readdirSync(places.base)) {
      if (name !== version) {
        rmSync(join(places.base, name), { recursive: true, force: true });
      }
    }
    return { runtime, policy: writePolicy(places, join(target, LAUNCHER)) };
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    if (readdirSync(places.base).length === 0) {
      rmSync(places.base, { recursive: true });
    }
    throw error;
  }
}

/** Takes away whatever an installation has made, of any version. @throws Error with a sentence for people */
export function uninstall(places: Places): void {
  if (existsSync(places.base)) {
    takeFolder(places.base);
    rmSync(places.base, { recursive: true });
  }
  rmSync(policyFile(places), { force: true });
}

/** Makes the folder root's alone: it is ours, even where somebody has changed it since. Those above aren't. */
function takeFolder(base: string): void {
  const above = dirname(base);
  if (!existsSync(above)) {
    makeFolder(above);
  }
  const flaw = flawAt(above);
  if (flaw) {
    throw new Error(describe(flaw));
  }
  const stat = lstatSync(base, { throwIfNoEntry: false });
  if (stat && !stat.isDirectory()) {
    throw new Error(`${base} is no folder. Diskloom didn't make it: remove it and try again.`);
  }
  if (stat) {
    own(base);
  } else {
    makeFolder(base);
  }
}

function fill(draft: string, sources: string, target: string): string {
  own(draft);
  for (const name of [HELPER, ENGINE, INSTALLER]) {
    copy(join(sources, name), join(draft, name), FILE);
  }
  makeFolder(join(draft, NATIVE));
  for (const name of readdirSync(join(sources, NATIVE))) {
    const folder = join(draft, NATIVE, name);
    makeFolder(folder);
    copy(join(sources, NATIVE, name, "koffi.node"), join(folder, "koffi.node"), FILE);
    flush(folder);
  }
  flush(join(draft, NATIVE));
  const copied = join(draft, RUNTIME);
  const runtime = chooseRuntime((program) => {
    copy(program, copied, OPEN);
    return copied;
  });
  const path = runtime.path === copied ? join(target, RUNTIME) : runtime.path;
  if (path === runtime.path) {
    // One that was copied in vain.
    rmSync(copied, { force: true });
  }
  const environment = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LANG: "C.UTF-8", ...runtime.environment };
  tryOut(runtime, join(draft, HELPER), environment);
  write(join(draft, LAUNCHER), launcher(path, join(target, HELPER), environment), OPEN);
  const note: Note = { runtime: path, environment };
  write(join(draft, NOTE), `${JSON.stringify(note)}\n`, FILE);
  flush(draft);
  return path;
}

/** What a helper loads to answer its first request is all that it needs. Then its stdin is at its end, and it ends. */
function tryOut(runtime: Runtime, helper: string, env: Record<string, string>): void {
  const input = ["initialize", "helper/info"].map(requestOf).join("");
  const options = { env, input, cwd: "/", timeout: PATIENCE, encoding: "utf8" } as const;
  const { status, signal, stderr } = spawnSync(runtime.path, [helper, "--stdio"], options);
  if (status !== 0) {
    throw new Error(`The copy of the helper doesn't run (${signal ?? status}): ${stderr.trim()}`);
  }
}

function requestOf(method: string, id: number): string {
  const message = JSON.stringify({ jsonrpc: "2.0", id, method, params: {} });
  return `Content-Length: ${message.length}\r\n\r\n${message}`;
}

/** rename(2) exchanges a file for another at once, but a folder only where the other is empty. */
function renameOver(draft: string, target: string): void {
  const before = `${draft}-before`;
  if (existsSync(target)) {
    renameSync(target, before);
  }
  try {
    renameSync(draft, target);
  } catch (error) {
    if (existsSync(before)) {
      renameSync(before, target);
    }
    throw error;
  }
  flush(dirname(target));
}

/** @returns whether there is a polkit to tell: it needs none of ours where it comes later, and asks in its own words */
function writePolicy(places: Places, program: string): boolean {
  if (!existsSync(places.policies)) {
    return false;
  }
  const file = policyFile(places);
  // polkit reads what ends in ".policy", as soon as it is there.
  const draft = `${file}.new`;
  try {
    rmSync(draft, { force: true });
    write(draft, policy(program), FILE);
    renameSync(draft, file);
    return true;
  } catch (error) {
    // Some systems have a /usr that nobody can write to.
    if (error instanceof Error && "code" in error && error.code === "EROFS") {
      return false;
    }
    throw error;
  }
}

function makeFolder(path: string): void {
  mkdirSync(path);
  own(path);
}

/** Root's, for everybody to look into, whatever the caller's mask and the folder above say of new ones. */
function own(folder: string): void {
  chownSync(folder, 0, 0);
  chmodSync(folder, OPEN);
}

function copy(from: string, to: string, mode: number): void {
  write(to, readFileSync(from), mode);
}

function write(path: string, content: string | Uint8Array, mode: number): void {
  const file = openSync(path, "wx", mode);
  try {
    writeFileSync(file, content);
    fchownSync(file, 0, 0);
    fchmodSync(file, mode);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** The names in a folder are on the disk only once it is, fsync(2). */
function flush(folder: string): void {
  const file = openSync(folder, "r");
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
