/**
 * The ground that the other guest tests stand on: runs inside the guest (see vm/run.mjs), and fails where it isn't as
 * promised.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, truncateSync, writeFileSync } from "node:fs";
import { release, tmpdir } from "node:os";
import { join } from "node:path";
import { before, describe, type TestContext, test } from "node:test";
import koffi from "koffi";

const MIB = 1024 * 1024;

let folder: string;

function run(program: string, args: string[], input?: string): string {
  const result = spawnSync(program, args, { encoding: "utf8", input });
  assert.equal(result.status, 0, `${program} ${args.join(" ")}: ${result.error?.message ?? result.stderr}`);
  return result.stdout.trim();
}

function makeImage(name: string, size: number): string {
  const image = join(folder, name);
  writeFileSync(image, "");
  truncateSync(image, size);
  return image;
}

function attach(context: TestContext, image: string, ...options: string[]): string {
  const device = run("losetup", ["--find", "--show", ...options, image]);
  context.after(() => run("losetup", ["--detach", device]));
  return device;
}

before(() => {
  folder = mkdtempSync(join(tmpdir(), "smoke-"));
});

test("the kernel is Debian's", () => {
  assert.match(release(), /^\d+\.\d+.*-amd64$/);
  assert.match(readFileSync("/proc/version", "utf8"), /Debian/);
});

test("udevd answers", () => {
  run("udevadm", ["control", "--ping", "--timeout=10"]);
});

test("device-mapper is there", () => {
  assert.match(readFileSync("/proc/misc", "utf8"), /device-mapper/);
  assert.ok(existsSync("/dev/mapper/control"));
});

test("device-mapper's targets are there", () => {
  const targets = ["linear", "striped", "zero", "snapshot", "crypt", "verity", "delay", "flakey"];
  const builtIntoCore = ["linear", "striped"];
  run("modprobe", ["--all", ...targets.filter((name) => !builtIntoCore.includes(name)).map((name) => `dm-${name}`)]);
  const known = run("dmsetup", ["targets"])
    .split("\n")
    .map((line) => line.split(/\s/)[0]);
  assert.deepEqual(
    targets.filter((name) => !known.includes(name)),
    [],
  );
});

test("udev makes a node for a device-mapper device", (context) => {
  run("dmsetup", ["create", "smoke", "--table", "0 2048 zero"]);
  context.after(() => run("dmsetup", ["remove", "--retry", "smoke"]));
  assert.match(realpathSync("/dev/mapper/smoke"), /^\/dev\/dm-\d+$/);
});

test("the kernel finds partitions, and udev links them", (context) => {
  const image = makeImage("gpt", 8 * MIB);
  run("sfdisk", ["--quiet", image], "label: gpt\nsize=2M, name=diskloom-smoke\n");
  const device = attach(context, image, "--partscan");
  run("udevadm", ["settle"]);
  assert.ok(existsSync(`${device}p1`), `${device}p1`);
  assert.equal(realpathSync("/dev/disk/by-partlabel/diskloom-smoke"), `${device}p1`);
});

describe("a file system mounts:", () => {
  const makers: Record<string, (image: string, files: string) => void> = {
    ext4: (image) => run("mkfs.ext4", ["-q", image]),
    vfat: (image) => run("mkfs.vfat", [image]),
    xfs: (image) => run("mkfs.xfs", ["-q", image]),
    squashfs: (image, files) => run("mksquashfs", [files, image, "-quiet", "-no-progress", "-noappend"]),
    erofs: (image, files) => run("mkfs.erofs", [image, files]),
  };
  for (const [type, make] of Object.entries(makers)) {
    test(type, (context) => {
      const files = join(folder, `${type}-files`);
      const mountPoint = join(folder, `${type}-mounted`);
      for (const path of [files, mountPoint]) mkdirSync(path);
      writeFileSync(join(files, "file"), "content");

      // xfs refuses less than 300 MiB.
      const image = makeImage(type, 320 * MIB);
      make(image, files);
      run("mount", ["-t", type, attach(context, image), mountPoint]);
      context.after(() => run("umount", [mountPoint]));
      assert.match(readFileSync("/proc/self/mounts", "utf8"), new RegExp(` ${mountPoint} ${type} `));
    });
  }
});

test("koffi reaches libc", () => {
  const getpid = koffi.load("libc.so.6").func("int getpid()");
  assert.equal(getpid(), process.pid);
});

test("what is left in the result share has a place on the host", () => {
  const share = process.env.DISKLOOM_GUEST_SHARE;
  assert.ok(share);
  writeFileSync(join(share, "smoke.json"), JSON.stringify({ kernel: release() }));
});
