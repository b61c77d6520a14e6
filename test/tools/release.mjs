/* Letting go of what tests have made of their images: the devices that show them, all that stands on those, mounts. */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

/** A device that a process has open goes when that ends, which is soon, if it's a test's. */
const ROUNDS = 50;
const PAUSE_MILLISECONDS = 100;

/**
 * Lets go of all devices that stand on the images of a folder, and of all that is mounted of them or in it. What is
 * somebody else's isn't touched: a device is known by its image, or by the device that it stands on, and from then on by
 * the kernel's number for this use of it.
 *
 * @param {string} folder absolute, without links in it
 */
export async function releaseImagesIn(folder) {
  /** By name, what they stand on first; the number of each one's use. @type {Map<string, string>} */
  const ours = new Map();
  for (let round = 0; round < ROUNDS; round++) {
    find(folder, ours);
    if (ours.size === 0) break;
    if (round > 0) await sleep(PAUSE_MILLISECONDS);
    // From the top.
    for (const name of [...ours.keys()].reverse()) {
      letGo(name);
    }
  }
  for (const { target } of mounts().reverse()) {
    if (target.startsWith(`${folder}/`)) attempt("umount", "--lazy", target);
  }
}

/**
 * Forgets those that are gone, and adds those that have been found now.
 *
 * @param {string} folder
 * @param {Map<string, string>} ours
 */
function find(folder, ours) {
  for (const [name, use] of ours) {
    if (useOf(name) !== use || !isThere(name)) ours.delete(name);
  }
  const names = list("/sys/class/block");
  for (const name of names) {
    if (!ours.has(name) && imageOf(name)?.startsWith(`${folder}/`)) ours.set(name, useOf(name));
  }
  for (let before = 0; before < ours.size; ) {
    before = ours.size;
    for (const name of names) {
      if (!ours.has(name) && under(name).some((lower) => ours.has(lower))) ours.set(name, useOf(name));
    }
  }
}

/**
 * @param {string} name
 * @returns {string[]} the devices that one stands on
 */
function under(name) {
  const disk = diskOf(name);
  if (disk) return [disk];
  const image = imageOf(name);
  const lower = image === undefined ? list(`/sys/class/block/${name}/slaves`) : [deviceUnder(image)];
  return lower.flatMap((one) => (one ? [one, diskOf(one) ?? one] : []));
}

/**
 * @param {string} image
 * @returns {string | undefined} the device that it is, or that its file system is on
 */
function deviceUnder(image) {
  try {
    const { rdev, dev, mode } = statSync(image);
    const number = (mode & 0o170000) === 0o060000 ? rdev : dev;
    // As in the C library's makedev(3), of which the kernel uses 12 and 20 bits.
    const [major, minor] = [(number >>> 8) & 0xfff, (number & 0xff) | ((number >>> 12) & 0xfff00)];
    return /^DEVNAME=(.*)$/m.exec(read(`/sys/dev/block/${major}:${minor}/uevent`) ?? "")?.[1];
  } catch {
    return undefined;
  }
}

/** @param {string} name */
function letGo(name) {
  const [major, minor] = (read(`/sys/class/block/${name}/dev`) ?? "").split(":");
  for (const { target, device, source } of mounts().reverse()) {
    if (device === `${major}:${minor}` || source === `/dev/${name}`) attempt("umount", "--lazy", target);
  }
  if ((read("/proc/swaps") ?? "").includes(`/dev/${name} `)) attempt("swapoff", `/dev/${name}`);
  if (name.startsWith("loop") && !diskOf(name)) {
    for (const part of list(`/sys/class/block/${name}`).filter((entry) => entry.startsWith(`${name}p`))) {
      attempt("delpart", `/dev/${name}`, part.slice(name.length + 1));
    }
    attempt("losetup", "--detach", `/dev/${name}`);
  } else if (name.startsWith("dm-")) {
    attempt("dmsetup", "remove", "--force", "--major", `${major}`, "--minor", `${minor}`);
  } else if (name.startsWith("md")) {
    attempt("mdadm", "--quiet", "--stop", `/dev/${name}`);
  }
}

/** @param {string} name */
function imageOf(name) {
  return read(`/sys/class/block/${name}/loop/backing_file`)?.replace(/\n$/, "");
}

/** A loop device's name stays when it is let go of. @param {string} name */
function isThere(name) {
  return name.startsWith("loop") && !diskOf(name) ? imageOf(name) !== undefined : useOf(name) !== "";
}

/** linux/blkdev.h: a number that no other use of this or another disk has. @param {string} name */
function useOf(name) {
  return read(`/sys/class/block/${diskOf(name) ?? name}/diskseq`)?.trim() ?? "";
}

/**
 * @param {string} name
 * @returns {string | undefined} the disk that it is a partition of
 */
function diskOf(name) {
  return /^(.*\d)p\d+$/.exec(name)?.[1];
}

/** What is mounted, as proc_pid_mountinfo(5) has it, in the order in which it was. */
function mounts() {
  return (read("/proc/self/mountinfo") ?? "").split("\n").map((line) => {
    const [, , device = "", , target = ""] = line.split(" ");
    const [, source = ""] = (line.split(" - ")[1] ?? "").split(" ");
    // Blanks and the like are in octal, as the fields end at one.
    const plain = target.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)));
    return { device, source, target: plain };
  });
}

/** What can't be done now may be in the next round. @param {[string, ...string[]]} command */
function attempt(...[program, ...args]) {
  // Debian keeps these tools where only root looks.
  const env = { ...process.env, PATH: `${process.env.PATH ?? ""}:/usr/sbin:/sbin` };
  spawnSync(program, args, { env, stdio: "ignore" });
}

/** @param {string} file */
function read(file) {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

/** @param {string} folder */
function list(folder) {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
