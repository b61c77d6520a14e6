import assert from "node:assert/strict";
import { closeSync, openSync, readFileSync, readSync, truncateSync, writeFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { O_RDONLY, openFile } from "../../helper/linux/file";
import { copyToMemory } from "../../helper/loop/memory";
import type { TestHelper } from "../helper";
import { KiB, MiB, run } from "../images";
import { attached, boundIn, imageOf, letUdevLook, partitionsOf, pattern, problem, Scene, sys, until } from "./scene";

const noWork = { signal: new AbortController().signal, report() {} };

describe("loop/attach", { concurrency: false }, () => {
  let scene: Scene;
  let helper: TestHelper;
  before(async () => {
    ({ scene, helper } = await Scene.set().then((it) => ({ scene: it, helper: it.helper })));
  });
  after(() => scene[Symbol.asyncDispose]());

  const detach = (device: string) => helper.request("loop/detach", { device });
  const image = (name: string, size = MiB, seed = 1) => {
    const path = scene.workshop.path(name);
    writeFileSync(path, pattern(size, seed));
    return path;
  };
  /** An image on a file system that can do direct I/O, whatever the temporary folder is on. */
  const imageOnExt4 = (name: string) => {
    const folder = scene.mount(scene.workshop.fileSystem("ext4", name, 16 * MiB), `${name}-mounted`, "-o", "loop");
    writeFileSync(`${folder}/image`, pattern(MiB, 1));
    return `${folder}/image`;
  };

  it("binds an image and tells all that losetup tells", async () => {
    const path = image("plain.img");
    const device = await attached(helper, { path, reference: "mine" });
    const [seen] = JSON.parse(run("losetup", ["--list", "--json", "--output-all", device.device])).loopdevices;
    assert.equal(seen["back-file"], path);
    assert.equal(device.backingFile, path);
    assert.equal(device.backingInode, Number(seen["back-ino"]));
    assert.equal(device.backingDevnum, seen["back-maj:min"].trim());
    assert.equal(device.devnum, seen["maj:min"].trim());
    assert.equal(device.autoclear, seen.autoclear);
    assert.equal(device.directIo, seen.dio);
    assert.equal(device.partitionScan, seen.partscan);
    assert.equal(device.readOnly, seen.ro);
    assert.equal(device.sectorSize, seen["log-sec"]);
    assert.equal(device.reference, "mine");
    assert.equal(device.size, MiB);
    assert.equal(device.diskSequence, Number(sys(device.device, "diskseq")));
    assert.equal(device.device, `/dev/loop${device.number}`);
    assert.equal(device.autoclear, false);
    const { devices } = await helper.request("devices/list", {});
    assert.deepEqual(
      devices.find((it) => it.device === device.device),
      device,
    );
    await detach(device.device);
  });

  it("shows the part of the image between offset and size limit", async () => {
    const path = image("part.img");
    const device = await attached(helper, { path, offset: 8 * KiB, sizeLimit: 64 * KiB });
    assert.equal(device.size, 64 * KiB);
    assert.deepEqual(readFileSync(device.device), pattern(MiB, 1).subarray(8 * KiB, 72 * KiB));
    await detach(device.device);
  });

  it("makes a read-only device where that is asked", async () => {
    const device = await attached(helper, { path: image("ro.img"), readOnly: true });
    assert.equal(device.readOnly, true);
    // Some kernels let root open it for writing even so.
    assert.throws(() => writeFileSync(device.device, "x", { flag: "r+" }), /EACCES|EROFS|EPERM/);
    assert.deepEqual(readFileSync(scene.workshop.path("ro.img")), pattern(MiB, 1));
    await detach(device.device);
  });

  it("readOnly auto: writable where it can be, read-only on a read-only file system and of an immutable file", async () => {
    const tmpfs = scene.mount("none", "tmpfs", "-t", "tmpfs");
    writeFileSync(`${tmpfs}/image`, pattern(MiB, 2));
    run("mount", ["-o", "remount,ro", tmpfs]);
    const onReadOnly = await attached(helper, { path: `${tmpfs}/image` });
    assert.equal(onReadOnly.readOnly, true);
    await detach(onReadOnly.device);
    await assert.rejects(
      helper.request("loop/attach", { path: `${tmpfs}/image`, readOnly: false }),
      problem("notPermitted", { errno: "EROFS" }),
    );

    const path = image("immutable.img");
    run("chattr", ["+i", path]);
    try {
      const immutable = await attached(helper, { path });
      assert.equal(immutable.readOnly, true);
      await detach(immutable.device);
      await assert.rejects(
        helper.request("loop/attach", { path, readOnly: false }),
        problem("notPermitted", { errno: "EPERM" }),
      );
    } finally {
      run("chattr", ["-i", path]);
    }
    assert.deepEqual(scene.bound(), []);
  });

  for (const sectorSize of [512, 1024, 2048, 4096]) {
    it(`sectorSize probe: finds a GPT of ${sectorSize}-byte sectors`, async () => {
      const path = scene.workshop.disk(`gpt-${sectorSize}.img`, 64 * MiB, "label: gpt\nsize=8M\n", sectorSize);
      const device = await attached(helper, { path });
      assert.equal(device.sectorSize, sectorSize);
      assert.equal(device.partitions.length, 1);
      await detach(device.device);
    });
  }

  it("a device whose number was made read-only for an image before is writable", async () => {
    const before = await attached(helper, { path: image("before.img") });
    run("blockdev", ["--setro", before.device]);
    await helper.request("loop/detach", { device: before.device });
    for (const readOnly of ["auto", false] as const) {
      const device = await attached(helper, { path: image(`after-${readOnly}.img`), device: before.device, readOnly });
      assert.equal(device.readOnly, false);
      writeFileSync(device.device, pattern(4 * KiB, 5));
      run("blockdev", ["--setro", before.device]);
      await helper.request("loop/detach", { device: before.device });
    }
    const readOnly = await attached(helper, { path: image("after.img"), device: before.device, readOnly: true });
    assert.equal(readOnly.readOnly, true);
    await helper.request("loop/detach", { device: before.device });
    const again = await attached(helper, { path: image("again.img"), device: before.device });
    assert.equal(again.readOnly, false);
    await helper.request("loop/detach", { device: before.device });
  });

  it("sectorSize: 512 where nothing is found, else what is asked", async () => {
    const path = image("sectors.img");
    for (const [asked, got] of [
      ["probe", 512],
      [1024, 1024],
      [4096, 4096],
    ] as const) {
      const device = await attached(helper, { path, sectorSize: asked });
      assert.equal(device.sectorSize, got);
      assert.equal(sys(device.device, "queue/logical_block_size"), `${got}`);
      await detach(device.device);
    }
  });

  it("sectorSize probe: of a block device, its own", async () => {
    const lower = await attached(helper, { path: image("lower.img"), sectorSize: 4096 });
    const upper = await attached(helper, { path: lower.device, offset: 64 * KiB });
    assert.equal(upper.sectorSize, 4096);
    await detach(upper.device);
    await detach(lower.device);
  });

  it("directIo auto: on where the file system can, off where it can't or the offset isn't aligned", async () => {
    const path = imageOnExt4("direct");
    const direct = await attached(helper, { path });
    assert.equal(direct.directIo, true);
    assert.equal(sys(direct.device, "loop/dio"), "1");
    await detach(direct.device);

    const unaligned = await attached(helper, { path, offset: 100 });
    assert.equal(unaligned.directIo, false);
    assert.deepEqual(readFileSync(unaligned.device).subarray(0, 512), pattern(MiB, 1).subarray(100, 612));
    await detach(unaligned.device);

    const ramfs = scene.mount("none", "ramfs", "-t", "ramfs");
    writeFileSync(`${ramfs}/image`, pattern(MiB, 3));
    const buffered = await attached(helper, { path: `${ramfs}/image` });
    assert.equal(buffered.directIo, false);
    await detach(buffered.device);
  });

  it("directIo: what is demanded and can't be is refused and undone, never quietly dropped", async () => {
    const path = imageOnExt4("demand");
    const off = await attached(helper, { path, directIo: false });
    assert.equal(off.directIo, false);
    await detach(off.device);
    const on = await attached(helper, { path, directIo: true });
    assert.equal(on.directIo, true);
    await detach(on.device);
    await assert.rejects(helper.request("loop/attach", { path, directIo: true, offset: 100 }), problem("unsupported"));
    await assert.rejects(
      helper.request("loop/attach", { path, directIo: true, inMemory: true }),
      problem("unsupported"),
    );
    // Others may have a look at it just then.
    await until(() => !boundIn(scene.folder).some((device) => imageOf(device) === path), "undone");
  });

  it("reference: up to 63 bytes of any characters", async () => {
    for (const reference of ["x".repeat(63), "ü".repeat(31)]) {
      const device = await attached(helper, { path: image("reference.img"), reference });
      assert.equal(device.reference, reference);
      await detach(device.device);
    }
  });

  it("partitionScan: partitions are known though this kernel has no parser, and their nodes are there", async () => {
    const path = scene.workshop.disk("disk.img", 40 * MiB, "label: gpt\nsize=8M, name=one\nsize=8M, name=two\n");
    const device = await attached(helper, { path });
    assert.equal(device.partitionScan, true);
    assert.deepEqual(
      device.partitions.map(({ device: node, name, start, size }) => [node, name, start, size]),
      [
        [`${device.device}p1`, "one", MiB, 8 * MiB],
        [`${device.device}p2`, "two", 9 * MiB, 8 * MiB],
      ],
    );
    letUdevLook();
    closeSync(openSync(`${device.device}p2`, "r"));
    await detach(device.device);
    const without = await attached(helper, { path, partitionScan: false });
    assert.equal(without.partitionScan, false);
    assert.deepEqual(without.partitions, []);
    await detach(without.device);
  });

  it("a size that is no multiple of 512: attached, with the tail named as unreachable", async () => {
    const path = scene.workshop.path("odd.img");
    writeFileSync(path, pattern(MiB + 100, 4));
    const { device, unreachableTail } = await helper.request("loop/attach", { path });
    assert.equal(device.size, MiB);
    assert.equal(unreachableTail, 100);
    await detach(device.device);
  });

  it("paths with spaces, newlines, quotes, backslashes and letters of all kinds", async () => {
    for (const name of [
      "with space",
      "new\nline",
      "quo'te\"s",
      "back\\slash",
      "ümläut ✓ 漢字",
      "(deleted)",
      "-rf",
      "a (deleted)",
    ]) {
      const path = image(name);
      const device = await attached(helper, { path });
      assert.equal(device.backingFile, path);
      assert.equal(device.backingFileDeleted, false);
      await detach(device.device);
    }
  });

  it("a relative look through a symbolic link binds the file that it leads to", async () => {
    const path = image("target.img");
    run("ln", ["-s", "target.img", scene.workshop.path("link.img")]);
    const device = await attached(helper, { path: scene.workshop.path("link.img") });
    assert.equal(imageOf(device.device), path);
    await detach(device.device);
  });

  it("inMemory: the image is never written", async () => {
    const path = image("memory.img");
    const before = readFileSync(path);
    const device = await attached(helper, { path, inMemory: true });
    assert.equal(device.readOnly, false);
    assert.deepEqual(readFileSync(device.device), before);
    writeFileSync(device.device, pattern(MiB, 99), { flag: "r+", flush: true });
    assert.deepEqual(readFileSync(device.device), pattern(MiB, 99));
    assert.match(device.backingFile, /^\/memfd:memory\.img/);
    assert.equal(device.backingFileDeleted, false);
    await detach(device.device);
    assert.deepEqual(readFileSync(path), before);
    const readOnly = await attached(helper, { path, inMemory: true, readOnly: true });
    assert.equal(readOnly.readOnly, true);
    await detach(readOnly.device);
  });

  it("inMemory: holes stay holes, and the length is kept to the byte", async () => {
    const path = scene.workshop.blank("sparse.img", 256 * MiB);
    const device = await attached(helper, { path, inMemory: true });
    assert.equal(device.size, 256 * MiB);
    const fd = openSync(device.device, "r");
    const bytes = Buffer.alloc(512, 1);
    readSync(fd, bytes, 0, 512, 256 * MiB - 512);
    closeSync(fd);
    assert.deepEqual(bytes, Buffer.alloc(512));
    await detach(device.device);

    using file = openFile(path, O_RDONLY);
    using copy = await copyToMemory(file, path, 256 * MiB, noWork);
    const { size, blocks } = copy.stat();
    assert.equal(Number(size), 256 * MiB);
    assert.ok(Number(blocks) * 512 < 16 * MiB, `${blocks} blocks`);
  });

  it("inMemory: what can't be copied whole isn't attached", async () => {
    const path = image("short.img", 8 * MiB);
    using file = openFile(path, O_RDONLY);
    await assert.rejects(copyToMemory(file, path, 9 * MiB, noWork), /short\.img was cut short while it was copied/);
    const before = scene.bound();
    // Past what its own image has by now, a device can't be read.
    const { device } = await attached(helper, { path, partitionScan: false });
    truncateSync(path, 4 * MiB);
    await assert.rejects(
      helper.request("loop/attach", { path: device, inMemory: true }),
      problem("kernel", { errno: "EIO", call: "read" }),
    );
    await detach(device);
    assert.deepEqual(scene.bound(), before);
  });

  it("removes partitions that were left over on the device it takes", async () => {
    // Without a partition scan, losetup leaves on the unbound device what was added by hand (util-linux #2815).
    const path = scene.workshop.blank("left.img", 16 * MiB);
    const { device: free } = await helper.request("loop/findFree", {});
    run("losetup", [free, path]);
    run("addpart", [free, "1", "2048", "2048"]);
    run("losetup", ["--detach", free]);
    await until(() => imageOf(free) === undefined, "nobody else has a look at the device");
    assert.deepEqual(partitionsOf(free), [`${free.slice(5)}p1`]);
    // Nor would the kernel clear them away.
    const device = await attached(helper, { path, device: free, partitionScan: false });
    assert.equal(device.device, free);
    assert.deepEqual(device.partitions, []);
    assert.deepEqual(partitionsOf(free), []);
    await detach(free);
  });
});
