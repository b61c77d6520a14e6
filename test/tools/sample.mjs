/* The images that `npm start` opens and that the tests of the user interface work on. */
import { mkdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ensureDebianPackages, run } from "./packages.mjs";

const MiB = 1 << 20;

/**
 * Makes a folder with images to try: an ext4 file system, and a disk with a partition table.
 *
 * @param {string} folder is made anew
 */
export function makeSample(folder) {
  ensureDebianPackages(["e2fsprogs", "fdisk"], "to make the sample images");
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(join(folder, "files"), { recursive: true });
  writeFileSync(join(folder, "files", "hello.txt"), "Hello from inside the image.\n");

  const fileSystem = join(folder, "rootfs.img");
  blank(fileSystem, 64 * MiB);
  run(["/sbin/mkfs.ext4", "-q", "-L", "rootfs", "-d", join(folder, "files"), fileSystem]);

  const disk = join(folder, "disk.img");
  blank(disk, 64 * MiB);
  run(["/sbin/sfdisk", "--quiet", disk], {
    input: "label: gpt\nsize=16MiB, type=uefi, name=boot\ntype=linux, name=root\n",
  });
  rmSync(join(folder, "files"), { recursive: true });
}

/** @param {string} path @param {number} size bytes */
function blank(path, size) {
  writeFileSync(path, "");
  truncateSync(path, size);
}
