/**
 * Gets the guest ready: QEMU and other programs, a Debian kernel and an initramfs, kept between runs in
 * test/guest/.cache.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { ensureDebianPackages } from "../../tools/packages.mjs";
import { ensureInitramfs } from "./initramfs.mjs";
import { ensureKernel } from "./kernel.mjs";

const CACHE = join(import.meta.dirname, "..", ".cache");

/** The kernel that tests run on unless they ask for another one. */
export const DEFAULT_KERNEL = "linux-image-6.12-amd64";

const TO_BOOT = ["qemu-system-x86", "busybox-static", "cpio", "kmod", "xz-utils", "udev"];

/** The guest sees the host's programs, so they are installed there. */
const TO_TEST = [
  "dmsetup",
  "cryptsetup-bin",
  "fdisk",
  "mount",
  "e2fsprogs",
  "dosfstools",
  "xfsprogs",
  "squashfs-tools",
  "erofs-utils",
];

/**
 * @typedef {object} Guest
 * @property {import("./kernel.mjs").Kernel} kernel
 * @property {string} initramfs
 */

/**
 * Makes sure that all is there to start a guest: at once if it is, in about a minute the first time.
 *
 * @param {object} [options]
 * @param {string | undefined} [options.kernel] a Debian meta package; if there is none, another, and it says so
 * @returns {Promise<Guest>}
 * @throws {Error} where Debian packages are missing and we may not install them: it names the command that does
 */
export async function ensureGuest({ kernel: meta = DEFAULT_KERNEL } = {}) {
  ensureDebianPackages(TO_BOOT, "the virtual machine that tests run in");
  ensureDebianPackages(TO_TEST, "tests in the virtual machine");
  mkdirSync(CACHE, { recursive: true });
  const kernel = ensureKernel(meta, CACHE);
  return { kernel, initramfs: ensureInitramfs(kernel) };
}
