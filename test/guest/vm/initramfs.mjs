/**
 * The guest's initramfs: busybox, our init, and the modules without which it can't see the host's files.
 */
import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, extname, join } from "node:path";
import { publish } from "./kernel.mjs";
import { outputOf } from "./output.mjs";

const BUSYBOX = "/bin/busybox";
const INIT = join(import.meta.dirname, "init");
const MODULES = ["virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay"];

/** Mount points, and the folders that init works in. */
const FOLDERS = ["bin", "dev", "proc", "sys", "modules", "lower", "overlay", "root"];

/** @type {Record<string, string>} */
const UNPACKERS = { ".xz": "xzcat", ".zst": "zstdcat", ".gz": "zcat" };

/**
 * Makes sure that there is an initramfs for a kernel, made of the init script and the busybox of today.
 *
 * @param {import("./kernel.mjs").Kernel} kernel
 * @returns {string} its file, in the kernel's folder
 */
export function ensureInitramfs(kernel) {
  const inputs = createHash("sha256");
  for (const file of [INIT, BUSYBOX, import.meta.filename]) inputs.update(readFileSync(file));
  const file = join(kernel.folder, `initramfs-${inputs.digest("hex").slice(0, 16)}`);
  if (existsSync(file)) return file;

  const work = mkdtempSync(join(kernel.folder, "work-"));
  try {
    const root = join(work, "root");
    for (const folder of FOLDERS) mkdirSync(join(root, folder), { recursive: true });
    copyFileSync(BUSYBOX, join(root, "bin", "busybox"));
    copyFileSync(INIT, join(root, "init"));
    chmodSync(join(root, "init"), 0o755);
    const order = modulesInOrder(kernel).map((module) => addModule(module, join(root, "modules")));
    writeFileSync(join(root, "modules", "order"), order.map((name) => `${name}\n`).join(""));

    const names = readdirSync(root, { recursive: true }).join("\n");
    const archive = outputOf("cpio", ["--create", "--format=newc", "--quiet"], { cwd: root, input: `${names}\n` });
    writeFileSync(join(work, "initramfs"), archive);
    for (const old of readdirSync(kernel.folder)) {
      if (old.startsWith("initramfs-")) rmSync(join(kernel.folder, old), { force: true });
    }
    publish(join(work, "initramfs"), file);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return file;
}

/**
 * @param {import("./kernel.mjs").Kernel} kernel
 * @returns {string[]} module files, each after those that it depends on
 */
function modulesInOrder(kernel) {
  // Without the host's /etc/modprobe.d, which may forbid or replace modules.
  const modprobe = ["-C", "/dev/null", "-d", kernel.folder, "-S", kernel.release, "--show-depends", "--all"];
  const steps = outputOf("modprobe", [...modprobe, ...MODULES]).toString();
  // What is built in is listed too, as "builtin NAME".
  return [...new Set([...steps.matchAll(/^insmod (.+\S)/gm)].map(([, file = ""]) => file))];
}

/**
 * @param {string} module
 * @param {string} folder
 * @returns {string} its name in the folder
 */
function addModule(module, folder) {
  const compression = extname(module);
  const name = basename(module, compression in UNPACKERS ? compression : "");
  // busybox' insmod takes only what is not compressed.
  writeFileSync(join(folder, name), outputOf(UNPACKERS[compression] ?? "cat", [module]));
  return name;
}
