import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import * as v from "valibot";
import { interposeIoctl } from "../../helper/linux/libc";
import { update as change } from "../../helper/loop/update";
import { Problem } from "../../helper/problem";
import { type CheckedParams, type LoopDevice, type Params, requests } from "../../helper/protocol";
import type { TestHelper } from "../helper";
import { KiB, MiB, run } from "../images";
import { attached, forgetBtrfsOn, imageOf, letUdevLook, pattern, problem, Scene, sys, until } from "./scene";

describe("loop/update and loop/resize", { concurrency: false }, () => {
  let scene: Scene;
  let helper: TestHelper;
  let images = 0;
  before(async () => {
    ({ scene, helper } = await Scene.set().then((it) => ({ scene: it, helper: it.helper })));
  });
  after(() => scene[Symbol.asyncDispose]());

  const fresh = (params: Partial<Params<"loop/attach">> = {}) => {
    const path = scene.workshop.path(`${images++}.img`);
    writeFileSync(path, pattern(MiB, 1));
    return attached(helper, { path, ...params });
  };
  const detach = ({ device }: LoopDevice) => helper.request("loop/detach", { device });
  const update = async (params: Params<"loop/update">) => (await helper.request("loop/update", params)).device;

  it("changes the offset alone, or the size limit alone, and what is read is what stands there", async () => {
    const before = await fresh({ offset: 4 * KiB, sizeLimit: 64 * KiB });
    assert.equal(readFileSync(before.device).readUInt32LE(4), 4 * KiB);
    const moved = await update({ device: before.device, offset: 8 * KiB });
    assert.deepEqual([moved.offset, moved.sizeLimit, moved.size], [8 * KiB, 64 * KiB, 64 * KiB]);
    assert.equal(readFileSync(before.device).readUInt32LE(4), 8 * KiB);
    // One of the seeds compares both even where one was left out, and so does nothing where only one differs.
    const cut = await update({ device: before.device, sizeLimit: 32 * KiB });
    assert.deepEqual([cut.offset, cut.sizeLimit, cut.size], [8 * KiB, 32 * KiB, 32 * KiB]);
    const whole = await update({ device: before.device, sizeLimit: 0, offset: 0 });
    assert.equal(whole.size, MiB);
    assert.deepEqual(readFileSync(before.device), pattern(MiB, 1));
    await detach(before);
  });

  it("changes sector size, direct I/O, reference and autoclear, each alone", async () => {
    const before = await fresh();
    const { device } = before;
    const steps = [
      { sectorSize: 4096 },
      { sectorSize: 512 },
      { directIo: false },
      { directIo: true },
      { reference: "new" },
      { reference: "" },
      { autoclear: true },
      { autoclear: false },
    ];
    let expected = before;
    for (const step of steps) {
      expected = { ...expected, ...step };
      assert.deepEqual(await update({ device, ...step }), expected, JSON.stringify(step));
    }
    await detach(before);
  });

  it("shows the partitions of the place that it shows now, and no longer those of the one before", async () => {
    const path = scene.workshop.blank("two.img", 48 * MiB);
    scene.workshop.put(path, 0, scene.workshop.disk("first.img", 16 * MiB, "label: gpt\nsize=4M\nsize=8M\n"));
    scene.workshop.put(path, 16 * MiB, scene.workshop.disk("second.img", 16 * MiB, "label: gpt\nstart=3M,size=2M\n"));
    const large = scene.workshop.disk("third.img", 16 * MiB, "label: gpt\nstart=4M,size=1M\n", 4096);
    scene.workshop.put(path, 32 * MiB, large);
    const { device, ...first } = await attached(helper, { path, sizeLimit: 16 * MiB, sectorSize: 512 });
    letUdevLook();
    const places = (loop: Pick<LoopDevice, "partitions">) =>
      loop.partitions.map(({ device: node, start, size }) => {
        assert.equal(Number(sys(node, "start")) * 512, start);
        return [start / MiB, size / MiB];
      });
    assert.deepEqual(places(first), [
      [1, 4],
      [5, 8],
    ]);
    const second = await update({ device, offset: 16 * MiB });
    assert.deepEqual(places(second), [[3, 2]]);
    const third = await update({ device, offset: 32 * MiB, sectorSize: 4096 });
    assert.deepEqual(places(third), [[4, 1]]);
    // Refused after all of that was changed: what was there before is there again.
    await assert.rejects(update({ device, offset: 0, sectorSize: 512, sizeLimit: 64 * MiB }), problem("invalid"));
    const { devices } = await helper.request("devices/list", {});
    const now = devices.find((it) => it.device === device);
    assert.deepEqual(now, third);
    const empty = await update({ device, offset: 8 * MiB, sectorSize: 512, sizeLimit: 0 });
    assert.deepEqual(places(empty), []);
    await detach(empty);
  });

  it("touches nothing that is so already, or not asked for", async () => {
    const log = scene.workshop.path("strace.log");
    const other = await scene.helperWith({ command: ["strace", "-f", "-s", "0", "-e", "trace=ioctl", "-o", log] });
    const before = await fresh();
    const { device } = before;
    writeFileSync(log, "");
    await other.request("loop/update", { device });
    const { offset, sizeLimit, sectorSize, autoclear, directIo, reference } = before;
    await other.request("loop/update", { device, offset, sizeLimit, sectorSize, autoclear, directIo, reference });
    assert.doesNotMatch(readFileSync(log, "utf8"), /LOOP_SET|BLKFLSBUF|LOOP_CLR/);
    await detach(before);
  });

  it("with autoclear it stays until the helper ends", async () => {
    const other = await scene.helperWith();
    const device = await fresh();
    await other.request("loop/update", { device: device.device, autoclear: true });
    await sleep(100);
    assert.equal(sys(device.device, "loop/autoclear"), "1");
    await other[Symbol.asyncDispose]();
    await until(() => imageOf(device.device) === undefined, "gone with the helper");
  });

  it("refuses another extent or sector size of a device in use: old pages would be read", async () => {
    const device = await fresh();
    letUdevLook();
    const child = spawn("sh", ["-c", `exec 3<${device.device}; echo open; exec sleep 60`], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    try {
      await new Promise((resolve) => child.stdout.once("data", resolve));
      const users = [{ kind: "process" as const, pid: child.pid ?? 0, command: "sleep" }];
      for (const change of [{ offset: 512 }, { sizeLimit: 512 }, { sectorSize: 4096 }]) {
        await assert.rejects(update({ device: device.device, ...change }), problem("busy", { users }));
      }
      // What harms nobody goes.
      assert.equal((await update({ device: device.device, reference: "named" })).reference, "named");
    } finally {
      child.kill("SIGKILL");
    }
    await sleep(100);
    await detach(device);
  });

  it("is all or nothing: what can't be is refused, and what was changed before it taken back", async () => {
    const before = await fresh({ offset: 4 * KiB });
    const { device } = before;
    for (const wish of [
      { offset: MiB },
      { offset: 8 * KiB, sizeLimit: 2 * MiB },
      { sizeLimit: 1000 },
      // Direct I/O can't be from there; on the guest's overlay, which has no sectors, it can be from anywhere.
      ...(process.env.DISKLOOM_GUEST ? [] : [{ offset: 100, sectorSize: 1024, directIo: true }]),
    ]) {
      const { reason } = "directIo" in wish ? { reason: "unsupported" as const } : { reason: "invalid" as const };
      await assert.rejects(update({ device, ...wish }), problem(reason, {}));
      const { devices } = await helper.request("devices/list", {});
      const now = devices.find((it) => it.device === device);
      assert.ok(now?.kind === "loop");
      assert.deepEqual({ ...now, directIo: before.directIo }, before, JSON.stringify(wish));
    }
    await detach(before);
  });

  it("refuses a part of the image that another device has come to show, as an attach does", async () => {
    const first = await fresh({ sizeLimit: 256 * KiB });
    const second = await attached(helper, { path: first.backingFile, offset: 512 * KiB });
    const { device } = first;
    for (const wish of [{ sizeLimit: 0 }, { sizeLimit: 513 * KiB }, { offset: 300 * KiB }, { offset: 512 * KiB }]) {
      await assert.rejects(update({ device, ...wish }), problem("overlap", { device: second.device }));
    }
    assert.equal((await update({ device, sizeLimit: 512 * KiB })).size, 512 * KiB);
    // Somebody has allowed that.
    const third = await attached(helper, { path: first.backingFile, overlap: "allow", sizeLimit: 4 * KiB });
    assert.equal((await update({ device: third.device, sizeLimit: 8 * KiB })).size, 8 * KiB);
    await assert.rejects(update({ device: third.device, sizeLimit: 0 }), problem("overlap", { device: second.device }));
    for (const it of [first, second, third]) {
      await detach(it);
    }
  });

  it("is taken back where another device has come to show that part while it was made", async () => {
    const first = await fresh({ sizeLimit: 256 * KiB });
    const { device, backingFile } = first;
    let second: LoopDevice | undefined;
    using _layer = interposeIoctl((below) => ({
      sync: (ioctl) => below.sync(ioctl),
      async: async (ioctl) => {
        if (ioctl.what[0] === "LOOP_SET_STATUS64") {
          second ??= await attached(helper, { path: backingFile, offset: 512 * KiB });
        }
        return await below.async(ioctl);
      },
    }));
    const wish = v.parse(requests["loop/update"].params, { device, offset: 512 * KiB }) as CheckedParams<"loop/update">;
    const root = { uid: 0, gid: 0, groups: [], name: "root" };
    await assert.rejects(
      change(wish, root, new AbortController().signal, async () => {}),
      (error) => error instanceof Problem && error.data.reason === "overlap" && error.data.device === second?.device,
    );
    assert.deepEqual([sys(device, "loop/offset"), sys(device, "loop/sizelimit")], ["0", `${256 * KiB}`]);
    assert.ok(second);
    for (const it of [first, second]) {
      await detach(it);
    }
  });

  it("resize takes up a grown and a shrunk image", async () => {
    const before = await fresh();
    const { device, backingFile } = before;
    truncateSync(backingFile, 3 * MiB);
    assert.equal(Number(sys(device, "size")) * 512, MiB, "the kernel doesn't see it by itself");
    assert.equal((await helper.request("loop/resize", { device })).device.size, 3 * MiB);
    truncateSync(backingFile, 512 * KiB + 100);
    assert.equal((await helper.request("loop/resize", { device })).device.size, 512 * KiB);
    await detach(before);
  });

  it("resize works under a mounted file system", async () => {
    const path = scene.workshop.fileSystem("ext4", "grow");
    const { device } = await attached(helper, { path });
    const target = scene.mount(device, "grow");
    truncateSync(path, 16 * MiB);
    assert.equal((await helper.request("loop/resize", { device })).device.size, 16 * MiB);
    assert.equal(run("blockdev", ["--getsize64", device]).trim(), `${16 * MiB}`);
    run("mountpoint", ["-q", target]);
    await helper.request("loop/detach", { device, whenBusy: "unmount" });
  });

  it("partition/resize changes the kernel's view of a partition, by BLKPG, only where it differs", async () => {
    const path = scene.workshop.disk("parts.img", 40 * MiB, "label: gpt\nsize=8M\nstart=20M, size=8M\n");
    const { device } = await attached(helper, { path });
    // Were the table read anew after that, the partition would have its size.
    letUdevLook();
    const { partition } = await helper.request("partition/resize", { device: `${device}p1`, size: 4 * MiB });
    assert.equal(partition.size, 4 * MiB);
    assert.equal(Number(sys(`${device}p1`, "size")) * 512, 4 * MiB);
    const { partition: same } = await helper.request("partition/resize", { device: `${device}p1` });
    assert.deepEqual(same, partition);
    await assert.rejects(
      helper.request("partition/resize", { device: `${device}p1`, size: 24 * MiB }),
      problem("busy", { device: `${device}p1` }),
    );
    const { partitions } = await helper.request("partition/rescan", { device });
    assert.deepEqual(
      partitions.map(({ size }) => size),
      [8 * MiB, 8 * MiB],
    );
    await helper.request("loop/detach", { device });
  });

  it("refuses to move a device that is in use where nobody can see it: the second of a file system's", async () => {
    const paths = ["one", "two"].map((name) => scene.workshop.blank(`${name}.btrfs`, 128 * MiB));
    run("mkfs.btrfs", ["-q", "-f", "-d", "raid1", "-m", "raid1", ...paths]);
    const devices = await Promise.all(paths.map((path) => attached(helper, { path })));
    const target = scene.mount(devices[0]?.device ?? "", "btrfs", "-o", `device=${devices[1]?.device}`);
    try {
      for (const { device } of devices) {
        for (const change of [{ offset: MiB }, { sizeLimit: 64 * MiB }, { sectorSize: 4096 }] as const) {
          await assert.rejects(helper.request("loop/update", { device, ...change }), problem("busy"));
        }
      }
    } finally {
      run("umount", [target]);
      await forgetBtrfsOn(devices.map(({ device }) => device));
    }
    for (const device of devices) {
      await detach(device);
    }
  });
});
