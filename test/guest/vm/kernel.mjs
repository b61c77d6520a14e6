/**
 * Debian's kernel for the guest: the package that a meta package stands for, unpacked into the cache, not installed.
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { say } from "../../tools/packages.mjs";
import { outputOf } from "./output.mjs";

/** Every release of Debian has it, while those with a version in their name come and go. */
const ALWAYS_THERE = "linux-image-amd64";

/**
 * @typedef {object} Kernel
 * @property {string} name the package's
 * @property {string} release as `uname -r` says it
 * @property {string} folder the unpacked package
 * @property {string} image the file to boot
 * @property {string} modules the folder that belongs at /lib/modules/RELEASE
 */

/**
 * Makes sure that the kernel a meta package stands for is in the cache. Where the archive has moved on to a newer one,
 * that is taken and the older one thrown away; where the archive can't be reached, the older one serves on.
 *
 * @param {string} meta for example linux-image-6.12-amd64
 * @param {string} cache an existing folder
 * @returns {Kernel}
 */
export function ensureKernel(meta, cache) {
  const note = join(cache, `${meta}.txt`);
  const last = existsSync(note) ? readFileSync(note, "utf8").trim() : undefined;
  const cached = last && existsSync(join(cache, last)) ? last : undefined;

  let name = packageBehind(meta);
  if (!name) {
    refreshPackageLists();
    name = packageBehind(meta) ?? cached;
  }
  if (!name) {
    if (meta === ALWAYS_THERE) throw new Error(`apt knows no package ${meta}: the guest needs Debian's archive, amd64`);
    say(`apt knows no package ${meta}, so the guest gets the kernel of ${ALWAYS_THERE} INSTEAD`);
    return ensureKernel(ALWAYS_THERE, cache);
  }

  if (!existsSync(join(cache, name))) name = fetchKernel(name, meta, cache, cached);
  if (name !== last) {
    writeFileSync(note, `${name}\n`);
    // A kernel takes more than 100 MB.
    if (cached) rmSync(join(cache, cached), { recursive: true, force: true });
  }

  const folder = join(cache, name);
  const release = releaseOf(name);
  const image = join(folder, "boot", `vmlinuz-${release}`);
  return { name, release, folder, image, modules: join(folder, "lib", "modules", release) };
}

/**
 * @param {string} name
 * @param {string} meta
 * @param {string} cache
 * @param {string | undefined} cached an older kernel that will do
 * @returns {string} which package is in the cache now
 */
function fetchKernel(name, meta, cache, cached) {
  try {
    return unpack(name, cache);
  } catch (error) {
    // Package lists older than the archive name a kernel that has left it.
    refreshPackageLists();
    const newer = packageBehind(meta);
    if (newer && newer !== name) return unpack(newer, cache);
    if (!cached) throw error;
    say(`${name} can't be had, so the guest stays with ${cached} (${error})`);
    return cached;
  }
}

/**
 * @param {string} name
 * @param {string} cache
 */
function unpack(name, cache) {
  say(`downloading and unpacking ${name} (about 100 MB, for the guest)`);
  const work = mkdtempSync(join(cache, "unpack-"));
  try {
    // Root, because apt's own download user can't write to our folder and apt would complain about it.
    outputOf("apt-get", ["-q", "-o", "APT::Sandbox::User=root", "download", name], { cwd: work });
    const archive = readdirSync(work).find((file) => file.endsWith(".deb"));
    if (!archive) throw new Error(`apt-get download ${name} left no package behind`);
    const root = join(work, "root");
    mkdirSync(root);
    outputOf("dpkg-deb", ["--extract", join(work, archive), root]);
    // depmod -b looks in lib/modules, newer packages have usr/lib/modules.
    if (!existsSync(join(root, "lib"))) symlinkSync("usr/lib", join(root, "lib"));
    outputOf("depmod", ["-b", root, releaseOf(name)]);
    publish(root, join(cache, name));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return name;
}

/**
 * Gives a finished file or folder its place in the cache: in one step, so that an interrupted set-up leaves no half
 * thing there. If another set-up was faster, its work stays.
 *
 * @param {string} from
 * @param {string} to
 */
export function publish(from, to) {
  try {
    renameSync(from, to);
  } catch (error) {
    if (!existsSync(to)) throw error;
  }
}

/**
 * @param {string} meta
 * @returns {string | undefined} nothing where apt doesn't know the meta package
 */
function packageBehind(meta) {
  try {
    return /Depends: (linux-image-\S+)/.exec(outputOf("apt-cache", ["depends", "--important", meta]).toString())?.[1];
  } catch {
    return undefined;
  }
}

function refreshPackageLists() {
  if (process.getuid?.() !== 0) {
    say("apt's package lists may be too old; as root, run: apt-get update");
    return;
  }
  try {
    say("apt-get update");
    outputOf("apt-get", ["-q", "update"]);
  } catch (error) {
    // One unreachable archive of several, or no network at all: what is known or cached may still do.
    say(String(error));
  }
}

/** @param {string} name */
function releaseOf(name) {
  return name.replace("linux-image-", "");
}
