import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, fsyncSync, openSync, readFileSync, readSync, writeFileSync, writeSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import type { TestHelper } from "../helper";
import { MiB, run } from "../images";
import { attached, imageOf, letUdevLook, pattern, Scene, until } from "./scene";

describe("loop/flush", { concurrency: false }, () => {
  let scene: Scene;
  let helper: TestHelper;
  before(async () => {
    ({ scene, helper } = await Scene.set().then((it) => ({ scene: it, helper: it.helper })));
  });
  after(() => scene[Symbol.asyncDispose]());

  const detach = (device: string) => helper.request("loop/detach", { device, whenBusy: "unmount" });

  it("brings into the image what was written to the device and is still open", async () => {
    const path = scene.workshop.blank("raw.img", MiB);
    const { device } = await attached(helper, { path });
    const fd = openSync(device, "r+");
    try {
      writeSync(fd, pattern(MiB, 5));
      await helper.request("loop/flush", { device });
      assert.ok(readFileSync(path).equals(pattern(MiB, 5)));
    } finally {
      closeSync(fd);
    }
    await detach(device);
  });

  it("brings into the image what was written to a partition, whose page cache is its own", async () => {
    const path = scene.workshop.disk("disk.img", 16 * MiB, "label: gpt\nsize=4M\n");
    const { device } = await attached(helper, { path });
    letUdevLook();
    const fd = openSync(`${device}p1`, "r+");
    try {
      writeSync(fd, pattern(MiB, 6));
      await helper.request("loop/flush", { device });
      assert.ok(
        readFileSync(path)
          .subarray(MiB, 2 * MiB)
          .equals(pattern(MiB, 6)),
      );
    } finally {
      closeSync(fd);
    }
    await detach(device);
  });

  it("brings into the image what was written to files of a mounted file system", async () => {
    const path = scene.workshop.fileSystem("ext4", "mounted");
    const { device } = await attached(helper, { path });
    const target = scene.mount(device, "mnt");
    writeFileSync(`${target}/file`, "The needle in the haystack.");
    await helper.request("loop/flush", { device });
    assert.ok(readFileSync(path).includes("The needle in the haystack."));
    await detach(device);
  });

  it("brings into the image what was written to a file system that is mounted in another mount namespace alone", async () => {
    const path = scene.workshop.disk("elsewhere.img", 16 * MiB, "label: gpt\nsize=8M\n");
    const { device } = await attached(helper, { path });
    letUdevLook();
    run("mkfs.ext4", ["-q", `${device}p1`]);
    const script = `mount ${device}p1 /mnt && echo "The needle elsewhere." > /mnt/file && echo ready && exec sleep 60`;
    const child = spawn("unshare", ["--mount", "sh", "-c", script], { stdio: ["ignore", "pipe", "inherit"] });
    try {
      await once(child.stdout, "data");
      assert.ok(!readFileSync(path).includes("The needle elsewhere."));
      await helper.request("loop/flush", { device });
      assert.ok(readFileSync(path).includes("The needle elsewhere."));
    } finally {
      child.kill();
    }
    // The kernel takes a namespace apart when it likes.
    await helper.request("loop/detach", { device, whenBusy: "lazy" });
    await until(() => imageOf(device) === undefined, `${device} gone`);
  });

  it("dropCache: what the image holds by then is read anew", async () => {
    const path = scene.workshop.blank("cache.img", MiB);
    const { device } = await attached(helper, { path });
    letUdevLook();
    const fd = openSync(device, "r");
    const read = () => {
      const bytes = Buffer.alloc(512);
      readSync(fd, bytes, 0, 512, 0);
      return bytes.toString("latin1").replaceAll("\0", "");
    };
    try {
      assert.equal(read(), "");
      const image = openSync(path, "r+");
      writeSync(image, "changed under the device");
      fsyncSync(image);
      closeSync(image);
      await helper.request("loop/flush", { device });
      assert.equal(read(), "", "from the cache");
      await helper.request("loop/flush", { device, dropCache: true });
      assert.equal(read(), "changed under the device");
    } finally {
      closeSync(fd);
    }
    await detach(device);
  });

  it("goes from the top down: file system, partition, device, image", async () => {
    const path = scene.workshop.disk("order.img", 16 * MiB, "label: gpt\nsize=8M\n");
    const log = scene.workshop.path("strace.log");
    const calls = "trace=syncfs,fsync,ioctl";
    const other = await scene.helperWith({ command: ["strace", "-f", "-y", "-s", "0", "-e", calls, "-o", log] });
    const { device } = await attached(other, { path });
    letUdevLook();
    run("mkfs.ext4", ["-q", `${device}p1`]);
    const target = scene.mount(`${device}p1`, "ordered");
    writeFileSync(log, "");
    await other.request("loop/flush", { device, dropCache: true });
    const seen = readFileSync(log, "utf8")
      .split("\n")
      .map((line) => /(syncfs|fsync|BLKFLSBUF)/.exec(line)?.[1] + (/<([^<>]*)/.exec(line)?.[1] ?? ""))
      .filter((call) => !call.startsWith("undefined"));
    const fromTop = [
      `syncfs${target}`,
      `fsync${device}p1`,
      `BLKFLSBUF${device}p1`,
      `fsync${device}`,
      `fsync${path}`,
      `BLKFLSBUF${device}`,
    ];
    // ioctl(fd<path>, BLKFLSBUF): the path stands before the name.
    assert.deepEqual(seen, fromTop);
    run("umount", [target]);
    await other.request("loop/detach", { device });
  });

  it("flushes a read-only device, and one whose image is deleted", async () => {
    const path = scene.workshop.blank("ro.img", MiB);
    const { device } = await attached(helper, { path, readOnly: true });
    await helper.request("loop/flush", { device, dropCache: true });
    run("rm", [path]);
    await helper.request("loop/flush", { device });
    await detach(device);
  });
});
