import assert from "node:assert/strict";
import { existsSync, lstatSync, rmSync, statSync, writeFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { devnum } from "../../helper/linux/devnum";
import type { TestHelper } from "../helper";
import { KiB, MiB, run } from "../images";
import { helperWithOwnDev } from "./own-dev";
import { attached, boundIn, imageOf, letUdevLook, problem, Scene, sys, until } from "./scene";

describe("the device that an attach gets", { concurrency: false }, () => {
  let scene: Scene;
  let helper: TestHelper;
  // Far from what others get, and from another run of these tests.
  const wanted = `/dev/loop${3000 + (process.pid % 3000)}`;
  before(async () => {
    ({ scene, helper } = await Scene.set().then((it) => ({ scene: it, helper: it.helper })));
  });
  after(async () => {
    await helper.request("loop/remove", { device: wanted }).catch(() => {});
    await scene[Symbol.asyncDispose]();
  });

  const detach = (device: string) => helper.request("loop/detach", { device });

  it("is the wanted one, made where it isn't there", async () => {
    const device = await attached(helper, { path: scene.workshop.blank("wanted.img", MiB), device: wanted });
    assert.equal(device.device, wanted);
    await detach(wanted);
    // And again, now that it is there.
    assert.equal((await attached(helper, { path: scene.workshop.path("wanted.img"), device: wanted })).device, wanted);
    await detach(wanted);
  });

  it("is refused where the wanted one is bound, or of a number that can't be", async () => {
    const path = scene.workshop.blank("other.img", MiB);
    const bound = await attached(helper, { path });
    await assert.rejects(
      helper.request("loop/attach", { path: scene.workshop.path("wanted.img"), device: bound.device }),
      problem("busy", { device: bound.device }),
    );
    await assert.rejects(
      helper.request("loop/attach", { path: scene.workshop.path("wanted.img"), device: "/dev/loop9999999" }),
      problem("invalid", { device: "/dev/loop9999999" }),
    );
    await detach(bound.device);
  });

  it("gets its node again that somebody has deleted, with the number that /sys tells (util-linux #3197)", async () => {
    const number = sys(wanted, "dev");
    rmSync(wanted);
    const device = await attached(helper, { path: scene.workshop.path("wanted.img"), device: wanted });
    assert.equal(devnum(lstatSync(wanted, { bigint: true }).rdev), number);
    assert.equal(device.devnum, number);
    // As udev and devtmpfs make them.
    assert.equal(statSync(wanted).mode & 0o777, 0o660);
    await detach(wanted);
  });

  it("is never another device that stands under its name, and failing to make the node is no success", async () => {
    const number = sys(wanted, "dev");
    rmSync(wanted);
    try {
      // One of the seeds hands back success and an empty path here.
      run("mknod", [wanted, "b", "7", "0"]);
      const refused = problem("kernel", { device: wanted, says: /isn't the kernel's device/ });
      const attach = () => helper.request("loop/attach", { path: scene.workshop.path("wanted.img"), device: wanted });
      await assert.rejects(attach(), refused);
      rmSync(wanted);
      writeFileSync(wanted, "");
      await assert.rejects(attach(), refused);
      assert.deepEqual(boundIn(scene.folder), []);
    } finally {
      rmSync(wanted, { force: true });
      run("mknod", [wanted, "b", ...number.split(":")]);
    }
  });

  it("is another where the kernel keeps offering one that somebody else has locked", async () => {
    const { device: free } = await helper.request("loop/findFree", {});
    const { spawn } = await import("node:child_process");
    const locker = spawn("flock", [free, "sh", "-c", "echo locked; read _"], { stdio: ["pipe", "pipe", "inherit"] });
    try {
      await new Promise((resolve) => locker.stdout.once("data", resolve));
      const device = await attached(helper, { path: scene.workshop.path("wanted.img") });
      assert.notEqual(device.device, free);
      await detach(device.device);
    } finally {
      locker.stdin.end();
    }
  });

  it("is another where something else stands at the place of the node of the one that the kernel offers", async () => {
    const { helper: other, dev } = await helperWithOwnDev(scene);
    const path = scene.workshop.path("wanted.img");
    const bound = await attached(helper, { path: scene.workshop.blank("bound.img", MiB) });
    const stands = [
      (at: string) => run("mknod", [at, "b", ...bound.devnum.split(":")]),
      (at: string) => run("mkdir", [at]),
    ];
    for (const stand of stands) {
      const { device: free } = await helper.request("loop/findFree", {});
      const inTheWay = `${dev}/${free.slice("/dev/".length)}`;
      // Made by an earlier attach, where that got this device.
      rmSync(inTheWay, { recursive: true, force: true });
      stand(inTheWay);
      const device = await attached(other, { path });
      assert.notEqual(device.device, free);
      assert.ok(existsSync(inTheWay), "it is not ours to remove");
      await other.request("loop/detach", { device: device.device });
      rmSync(inTheWay, { recursive: true });
    }
    assert.deepEqual(scene.bound(), [bound.device]);
    await detach(bound.device);
  });

  it("loop/findFree names an unbound device, loop/remove takes it away with its node", async () => {
    const unbound = async () => imageOf((await helper.request("loop/findFree", {})).device) === undefined;
    // Another run on this machine may have it by now.
    await until(unbound, "an unbound device");
    await helper.request("loop/remove", { device: wanted });
    assert.throws(() => statSync(wanted), /ENOENT/);
    assert.throws(() => sys(wanted, "dev"), /ENOENT/);
    await assert.rejects(helper.request("loop/remove", { device: wanted }), problem("notFound", { device: wanted }));
  });

  it("loop/remove refuses a bound one, and waits for one that is open, but not for ever", async () => {
    const path = scene.workshop.path("wanted.img");
    await attached(helper, { path, device: wanted });
    await assert.rejects(helper.request("loop/remove", { device: wanted }), problem("busy", { device: wanted }));
    await detach(wanted);
    const { spawn } = await import("node:child_process");
    const short = spawn("sh", ["-c", `exec 3<${wanted}; echo open; sleep 1`], { stdio: ["ignore", "pipe", "inherit"] });
    await new Promise((resolve) => short.stdout.once("data", resolve));
    await helper.request("loop/remove", { device: wanted });
    assert.throws(() => statSync(wanted), /ENOENT/);

    await attached(helper, { path, device: wanted });
    await detach(wanted);
    const long = spawn("sh", ["-c", `exec 3<${wanted}; echo open; exec sleep 60`], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    try {
      await new Promise((resolve) => long.stdout.once("data", resolve));
      let answered = false;
      const removing = helper.request("loop/remove", { device: wanted }).finally(() => {
        answered = true;
      });
      removing.catch(() => {});
      // Others get devices meanwhile: the lock isn't held while waiting.
      const other = await attached(helper, { path });
      await detach(other.device);
      assert.ok(!answered, "others had to wait");
      await assert.rejects(
        removing,
        problem("busy", { users: [{ kind: "process", pid: long.pid ?? 0, command: "sleep" }] }),
      );
    } finally {
      long.kill();
    }
  });

  it("with autoclear stays until the helper ends, and goes with it however it ends", async () => {
    for (const end of ["eof", "kill"]) {
      const other = await scene.helperWith();
      const device = await attached(other, { path: scene.workshop.path("wanted.img"), autoclear: true });
      assert.equal(device.autoclear, true);
      await helper.request("devices/list", {});
      assert.equal(sys(device.device, "loop/autoclear"), "1");
      await (end === "kill" ? other.kill() : other[Symbol.asyncDispose]());
      await until(() => boundIn(scene.folder).length === 0, `${device.device} gone after ${end}`);
    }
  });

  it("with autoclear goes with its last mount, though the helper lives on", async () => {
    const path = scene.workshop.fileSystem("ext4", "autoclear");
    const device = await attached(helper, { path, autoclear: true });
    const target = scene.mount(device.device, "mnt");
    await until(async () => (await helper.request("helper/info", {})).holds === 0, "let go of for the mount");
    run("umount", [target]);
    await until(() => boundIn(scene.folder).length === 0, "gone after umount");
  });

  it("is none where the image is a whole block device: that is used as it is, and said so", async () => {
    const lower = await attached(helper, { path: scene.workshop.path("wanted.img") });
    const same = await helper.request("loop/attach", { path: lower.device });
    assert.equal(same.shared, true);
    assert.deepEqual(same.device, lower);

    const disk = scene.workshop.disk("parts.img", 40 * MiB, "label: gpt\nsize=8M\n");
    const whole = await attached(helper, { path: disk });
    letUdevLook();
    const part = await helper.request("loop/attach", { path: `${whole.device}p1` });
    assert.equal(part.shared, true);
    assert.equal(part.device.number, -1);
    assert.equal(part.device.device, `${whole.device}p1`);
    assert.equal(part.device.size, 8 * MiB);
    assert.equal(part.device.devnum, sys(`${whole.device}p1`, "dev"));
    await detach(whole.device);
    await detach(lower.device);
  });

  it("stands on a block device where only a part of it is wanted, or what it can't be", async () => {
    const lower = await attached(helper, { path: scene.workshop.path("wanted.img") });
    const part = await attached(helper, { path: lower.device, offset: 64 * KiB });
    assert.notEqual(part.device, lower.device);
    assert.equal(part.backingFile, lower.device);
    assert.equal(part.size, MiB - 64 * KiB);
    // By another node of the same device, too.
    const node = scene.workshop.path("node");
    run("mknod", [node, "b", ...lower.devnum.split(":")]);
    await assert.rejects(
      helper.request("loop/attach", { path: node, offset: 128 * KiB }),
      problem("overlap", { device: part.device }),
    );
    await detach(part.device);
    const readOnly = await attached(helper, { path: lower.device, readOnly: true });
    assert.notEqual(readOnly.device, lower.device);
    assert.equal(readOnly.readOnly, true);
    await detach(readOnly.device);
    await detach(lower.device);
  });
});
