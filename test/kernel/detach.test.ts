import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { after, afterEach, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { LoopDevice } from "../../helper/protocol";
import type { TestHelper } from "../helper";
import { MiB, run } from "../images";
import { attached, imageOf, letUdevLook, partitionsOf, pattern, problem, Scene, sys, until } from "./scene";

describe("loop/detach", { concurrency: false }, () => {
  let scene: Scene;
  let helper: TestHelper;
  let images = 0;
  const children: ChildProcess[] = [];
  before(async () => {
    ({ scene, helper } = await Scene.set().then((it) => ({ scene: it, helper: it.helper })));
  });
  afterEach(async () => {
    for (const child of children.splice(0)) {
      child.kill("SIGKILL");
    }
    await sleep(50);
  });
  after(() => scene[Symbol.asyncDispose]());

  const blank = () => attached(helper, { path: scene.workshop.blank(`${images++}.img`, MiB) });
  const ext4 = () => attached(helper, { path: scene.workshop.fileSystem("ext4", `${images++}`) });
  const disk = () =>
    attached(helper, {
      path: scene.workshop.disk(`${images++}.img`, 40 * MiB, "label: gpt\nsize=8M\nsize=8M\n"),
    });

  /** A process with the file open, or in the folder. */
  async function keeper(script: string): Promise<ChildProcess & { pid: number }> {
    // So that nobody else is named beside it.
    letUdevLook();
    const child = spawn("sh", ["-c", `${script}; echo ready; exec sleep 60`], { stdio: ["ignore", "pipe", "inherit"] });
    children.push(child);
    await new Promise((resolve) => child.stdout?.once("data", resolve));
    return child as ChildProcess & { pid: number };
  }

  function unchanged(device: LoopDevice): void {
    assert.equal(imageOf(device.device), device.backingFile);
    assert.equal(sys(device.device, "loop/autoclear"), "0", "no autoclear left behind");
    assert.equal(Number(sys(device.device, "diskseq")), device.diskSequence);
    assert.equal(partitionsOf(device.device).length, device.partitions.length, "partitions still there");
  }

  it("leaves in the image what was written through the device, byte for byte", async () => {
    const path = scene.workshop.blank("bytes.img", 16 * MiB);
    const { device } = await attached(helper, { path });
    writeFileSync(device, pattern(16 * MiB, 7), { flag: "r+" });
    assert.deepEqual(await helper.request("loop/detach", { device }), { state: "detached", users: [] });
    assert.equal(imageOf(device), undefined, "gone by the time of the answer");
    assert.ok(readFileSync(path).equals(pattern(16 * MiB, 7)));
  });

  it("takes the partitions and their nodes along, those too that the kernel was told of by hand", async () => {
    const device = await disk();
    assert.equal(device.partitions.length, 2);
    await helper.request("loop/detach", { device: device.device });
    assert.deepEqual(partitionsOf(device.device), []);
    assert.ok(!existsSync(`${device.device}p1`));
    // losetup leaves them here.
    const byHand = await blank();
    await helper.request("loop/detach", { device: byHand.device });
    run("losetup", [byHand.device, byHand.backingFile]);
    run("addpart", [byHand.device, "1", "0", "1024"]);
    await helper.request("loop/detach", { device: byHand.device, confirmForeign: true });
    assert.deepEqual(partitionsOf(byHand.device), []);
  });

  it("refuse, the default: of a mounted one, naming the mounts (losetup -d says it did: util-linux #484)", async () => {
    const device = await ext4();
    const targets = [scene.mount(device.device, "one"), scene.mount(device.device, "two words")];
    await assert.rejects(
      helper.request("loop/detach", { device: device.device }),
      problem("busy", { device: device.device, users: targets.map((target) => ({ kind: "mount", target })) }),
    );
    unchanged(device);
    run("umount", targets);
    await helper.request("loop/detach", { device: device.device });
    assert.equal(imageOf(device.device), undefined);
  });

  it("refuse: of one that others stand on, mapped or mounted by partition, or swap", async () => {
    const device = await disk();
    letUdevLook();
    const upper = await attached(helper, { path: device.device, offset: 20 * MiB });
    const holder = { kind: "holder" as const, device: upper.device };
    await assert.rejects(
      helper.request("loop/detach", { device: device.device }),
      problem("busy", { users: [holder] }),
    );
    unchanged(device);
    await helper.request("loop/detach", { device: upper.device });
    letUdevLook();
    run("mkfs.ext4", ["-q", `${device.device}p2`]);
    const target = scene.mount(`${device.device}p2`, "part");
    await assert.rejects(
      helper.request("loop/detach", { device: device.device }),
      problem("busy", { users: [{ kind: "mount", target }] }),
    );
    unchanged(device);
    run("umount", [target]);
    await helper.request("loop/detach", { device: device.device });

    const swap = await attached(helper, { path: scene.workshop.fileSystem("swap", `${images++}`) });
    run("swapon", [swap.device]);
    try {
      const users = [{ kind: "mount" as const, target: "[SWAP]" }];
      for (const whenBusy of ["refuse", "unmount"] as const) {
        await assert.rejects(
          helper.request("loop/detach", { device: swap.device, whenBusy }),
          problem("busy", { users }),
        );
      }
    } finally {
      run("swapoff", [swap.device]);
    }
    await helper.request("loop/detach", { device: swap.device });
  });

  it("refuse: of one that a process has open, or one of its partitions, naming it", async () => {
    for (const [device, node] of await Promise.all([
      blank().then((it) => [it, it.device] as const),
      disk().then((it) => [it, `${it.device}p1`] as const),
    ])) {
      const child = await keeper(`exec 3<${node}`);
      const users = [{ kind: "process" as const, pid: child.pid, command: "sleep" }];
      await assert.rejects(helper.request("loop/detach", { device: device.device }), problem("busy", { users }));
      unchanged(device);
      child.kill("SIGKILL");
      await sleep(100);
      await helper.request("loop/detach", { device: device.device });
    }
  });

  it("refuse: waits for those who only have a look", async () => {
    const device = await blank();
    const end = performance.now() + 1500;
    const looking = (async () => {
      while (performance.now() < end && imageOf(device.device)) {
        const fd = openSync(device.device, "r");
        closeSync(fd);
        await sleep(1);
      }
      // A device on its way out can't be opened any more.
    })().catch(() => {});
    await sleep(50);
    await helper.request("loop/detach", { device: device.device });
    assert.equal(imageOf(device.device), undefined);
    await looking;
  });

  it("refuse: of one that another program keeps locked", async () => {
    const device = await blank();
    const child = spawn("flock", [device.device, "sh", "-c", "echo locked; read _"], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    await new Promise((resolve) => child.stdout.once("data", resolve));
    await assert.rejects(
      helper.request("loop/detach", { device: device.device }),
      problem("busy", { says: /locked by another program/ }),
    );
    unchanged(device);
    child.stdin.end();
    await once(child, "exit");
    await helper.request("loop/detach", { device: device.device });
  });

  it("lazy: pending while in use, and word of it when it goes", async () => {
    const device = await ext4();
    const target = scene.mount(device.device, "lazy");
    const users = [{ kind: "mount" as const, target }];
    const answer = await helper.request("loop/detach", { device: device.device, whenBusy: "lazy" });
    assert.deepEqual(answer.state, "pending");
    assert.deepEqual(answer.users.slice(0, 1), users);
    assert.equal(imageOf(device.device), device.backingFile);
    const child = await keeper(`exec 3<${device.device}`);
    run("umount", [target]);
    assert.equal(imageOf(device.device), device.backingFile);
    await sleep(200);
    const before = helper.changes;
    child.kill("SIGKILL");
    await until(() => imageOf(device.device) === undefined, "gone with its last user");
    await until(() => helper.changes > before, "devices/changed");
  });

  it("lazy: detached at once where nobody uses it", async () => {
    const { device } = await blank();
    const answer = await helper.request("loop/detach", { device, whenBusy: "lazy" });
    assert.deepEqual(answer, { state: "detached", users: [] });
    assert.equal(imageOf(device), undefined);
  });

  it("unmount: all mounts, then detached", async () => {
    const device = await ext4();
    const target = scene.mount(device.device, "first");
    run("mkdir", ["-p", scene.workshop.path("bind")]);
    run("mount", ["--bind", target, scene.workshop.path("bind")]);
    writeFileSync(`${target}/file`, "content");
    const answer = await helper.request("loop/detach", { device: device.device, whenBusy: "unmount" });
    assert.equal(answer.state, "detached");
    assert.equal(imageOf(device.device), undefined);
    assert.ok(!readFileSync("/proc/self/mountinfo", "utf8").includes(scene.workshop.path("first")));
    run("mount", ["-o", "loop,ro", device.backingFile, target]);
    assert.equal(readFileSync(`${target}/file`, "utf8"), "content");
    run("umount", [target]);
  });

  it("unmount: where one is in use, all stay mounted as they were, and the process is named", async () => {
    const device = await ext4();
    const used = scene.mount(device.device, "used");
    const free = scene.mount(used, "free", "--bind");
    run("mount", ["-o", "remount,bind,ro", free]);
    const child = await keeper(`cd ${used}`);
    const mounts = () =>
      readFileSync("/proc/self/mountinfo", "utf8")
        .split("\n")
        .filter((line) => line.includes(scene.folder))
        .map((line) => line.split(" ").slice(2, 6).join(" "))
        .sort();
    const before = mounts();
    assert.equal(before.length, 2);
    await assert.rejects(
      helper.request("loop/detach", { device: device.device, whenBusy: "unmount" }),
      problem("busy", {
        users: [{ kind: "process", pid: child.pid, command: "sleep" }],
      }),
    );
    assert.deepEqual(mounts(), before);
    unchanged(device);
    child.kill("SIGKILL");
    await sleep(100);
    await helper.request("loop/detach", { device: device.device, whenBusy: "unmount" });
  });

  it("unmount: where a process has the device open, nothing is unmounted", async () => {
    const device = await ext4();
    const target = scene.mount(device.device, "kept");
    const child = await keeper(`exec 3<${device.device}`);
    await assert.rejects(
      helper.request("loop/detach", { device: device.device, whenBusy: "unmount" }),
      problem("busy", { users: [{ kind: "process", pid: child.pid, command: "sleep" }] }),
    );
    run("mountpoint", ["-q", target]);
    unchanged(device);
    child.kill("SIGKILL");
    await sleep(100);
    await helper.request("loop/detach", { device: device.device, whenBusy: "unmount" });
  });

  it("unmount: never takes somebody else's mount that lies over ours", async () => {
    const device = await ext4();
    const target = scene.mount(device.device, "covered");
    scene.mount("none", "covered", "-t", "tmpfs");
    writeFileSync(`${target}/theirs`, "theirs");
    await assert.rejects(
      helper.request("loop/detach", { device: device.device, whenBusy: "unmount" }),
      problem("busy", { says: /Something else is mounted over/ }),
    );
    assert.equal(readFileSync(`${target}/theirs`, "utf8"), "theirs");
    run("umount", [target]);
    await helper.request("loop/detach", { device: device.device, whenBusy: "unmount" });
  });

  it("names a process in whose mount namespace alone it is mounted", async () => {
    const device = await ext4();
    letUdevLook();
    const child = spawn(
      "unshare",
      ["--mount", "sh", "-c", `mount ${device.device} /mnt && echo ready && exec sleep 60`],
      {
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    children.push(child);
    await new Promise((resolve) => child.stdout.once("data", resolve));
    for (const whenBusy of ["refuse", "unmount"] as const) {
      await assert.rejects(
        helper.request("loop/detach", { device: device.device, whenBusy }),
        problem("busy", { users: [{ kind: "process", pid: child.pid ?? 0, command: "sleep" }] }),
      );
      unchanged(device);
    }
    child.kill("SIGKILL");
    // The kernel takes a namespace apart when it likes.
    await helper.request("loop/detach", { device: device.device, whenBusy: "lazy" });
    await until(() => imageOf(device.device) === undefined, `${device.device} gone`);
  });

  it("remove: takes the node away as well", async () => {
    const device = `/dev/loop${7000 + (process.pid % 3000)}`;
    await attached(helper, { path: scene.workshop.blank("remove.img", MiB), device });
    await helper.request("loop/detach", { device, remove: true });
    assert.ok(!existsSync(device));
    assert.ok(!existsSync(`/sys/block/${device.slice(5)}`));
  });

  it("stale: a device that was detached or recycled since is not touched", async () => {
    const first = await blank();
    const { device, diskSequence } = first;
    await helper.request("loop/detach", { device, diskSequence });
    await assert.rejects(helper.request("loop/detach", { device, diskSequence }), problem("stale", { device }));
    await assert.rejects(helper.request("loop/detach", { device }), problem("notFound", { device }));
    const path = scene.workshop.blank("recycled.img", MiB);
    run("losetup", [device, path]);
    for (const method of ["loop/detach", "loop/flush", "loop/update", "loop/resize", "partition/rescan"] as const) {
      await assert.rejects(helper.request(method, { device, diskSequence }), problem("stale", { device }));
    }
    assert.equal(imageOf(device), path);
    assert.equal(sys(device, "loop/autoclear"), "0");
    run("losetup", ["--detach", device]);
  });

  it("tells an image that was deleted or replaced under the device, and detaches it as any other", async () => {
    for (const script of ["rm IMAGE", "cp IMAGE IMAGE.new; mv IMAGE.new IMAGE", "mv IMAGE IMAGE.moved"]) {
      const device = await blank();
      run("sh", ["-c", script.replaceAll("IMAGE", device.backingFile)]);
      const { devices } = await helper.request("devices/list", {});
      const seen = devices.find((it) => it.device === device.device);
      assert.ok(seen?.kind === "loop");
      const moved = script.endsWith(".moved");
      assert.equal(seen.backingFileDeleted, !moved);
      assert.equal(seen.backingFile, moved ? `${device.backingFile}.moved` : device.backingFile);
      assert.equal(seen.backingInode, device.backingInode);
      await helper.request("loop/detach", { device: device.device });
    }
  });
});
