/* What is remembered of the kernel is what the kernel says now: mounts, swap space, sequence numbers. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { addDevice } from "../../helper/linux/loop";
import { knownDeviceMounts } from "../../helper/linux/mountinfo";
import { PolledFile } from "../../helper/linux/polledFile";
import { readSwaps } from "../../helper/linux/swaps";
import { KeptNumbers, openVirtualDisks } from "../../helper/linux/sysfs";
import { openControl } from "../../helper/loop/control";
import type { TestHelper } from "../helper";
import { MiB, run } from "../images";
import { attached, problem, Scene, sys } from "./scene";

describe("known", { concurrency: false }, () => {
  let scene: Scene;
  let helper: TestHelper;
  before(async () => {
    ({ scene, helper } = await Scene.set().then((it) => ({ scene: it, helper: it.helper })));
  });
  after(() => scene[Symbol.asyncDispose]());

  it("mounts: a new one is known at once, and gone at once", async () => {
    const path = scene.workshop.fileSystem("ext4", "mounted.img");
    const { device, devnum } = await attached(helper, { path });
    const targets = () =>
      knownDeviceMounts()
        .filter((mount) => mount.devnum === devnum)
        .map(({ target }) => target);
    for (let round = 0; round < 3; round++) {
      assert.deepEqual(targets(), []);
      const target = scene.mount(device, "mounted");
      assert.deepEqual(targets(), [target]);
      run("umount", [target]);
    }
    assert.deepEqual(targets(), []);
    await helper.request("loop/detach", { device });
  });

  it("a helper that has detached others refuses a device that was mounted since, by the target's present name", async () => {
    const other = await attached(helper, { path: scene.workshop.blank("other.img", MiB) });
    const { device } = await attached(helper, { path: scene.workshop.fileSystem("ext4", "busy.img") });
    await helper.request("loop/detach", { device: other.device });
    run("mkdir", [scene.workshop.path("above")]);
    scene.mount(device, "above/busy");
    const isRefused = (target: string) =>
      assert.rejects(
        helper.request("loop/detach", { device }),
        problem("busy", { device, users: [{ kind: "mount", target }] }),
      );
    await isRefused(scene.workshop.path("above/busy"));
    renameSync(scene.workshop.path("above"), scene.workshop.path("renamed"));
    const target = scene.workshop.path("renamed/busy");
    await isRefused(target);
    run("umount", [target]);
    await helper.request("loop/detach", { device });
  });

  it("swap space: what comes, and what goes", async () => {
    const { device } = await attached(helper, { path: scene.workshop.blank("swap.img", MiB) });
    run("mkswap", [device]);
    assert.ok(!readSwaps().includes(device));
    run("swapon", [device]);
    try {
      assert.ok(readSwaps().includes(device));
    } finally {
      run("swapoff", [device]);
    }
    assert.ok(!readSwaps().includes(device));
    await helper.request("loop/detach", { device });
  });

  it("mounts that are moved, bound, passed on from another namespace, or taken away with their folder", async () => {
    const path = scene.workshop.fileSystem("ext4", "moved.img");
    const { device, devnum } = await attached(helper, { path });
    const folder = scene.mount("none", "shared", "-t", "tmpfs");
    const places = ["one", "two", "three"].map((name) => `${folder}/${name}`) as [string, string, string];
    run("mkdir", places);
    const [one, two, three] = places;
    const known = () => {
      const targets = knownDeviceMounts().filter((mount) => mount.devnum === devnum);
      return targets.map(({ target }) => target.slice(folder.length + 1)).sort();
    };
    const steps: [string[], string[]][] = [
      [["mount", device, one], ["one"]],
      [
        ["mount", "--bind", one, two],
        ["one", "two"],
      ],
      [
        ["mount", "--make-private", folder],
        ["one", "two"],
      ],
      [["umount", one], ["two"]],
      [["mount", "--move", two, three], ["three"]],
      [["mount", "--make-shared", folder], ["three"]],
      [
        ["unshare", "--mount", "--propagation", "unchanged", "mount", device, one],
        ["one", "three"],
      ],
      [["unshare", "--mount", "--propagation", "unchanged", "umount", three], ["one"]],
      [["unshare", "--mount", "--propagation", "private", "sh", "-c", `umount ${one} && rmdir ${one}`], []],
    ];
    try {
      for (const [[program = "", ...args], expected] of steps) {
        run(program, args);
        assert.deepEqual(known(), expected, [program, ...args].join(" "));
      }
    } finally {
      run("umount", ["--recursive", "--lazy", folder]);
    }
    await helper.request("loop/detach", { device });
  });

  it("a file that isn't the kernel's own, as containers have in its place, is read each time", () => {
    const path = scene.workshop.path("swaps");
    const file = new PolledFile(path, () => [readFileSync(path, "utf8")]);
    for (const text of ["none", "some", "none"]) {
      writeFileSync(path, text);
      assert.deepEqual(file.says(), [text]);
    }
  });

  it("numbers whose files stay open: of the device as it is now, removed and made again included", async () => {
    using folder = openVirtualDisks();
    using control = openControl();
    const number = await addDevice(control, -1);
    const disk = `loop${number}`;
    const device = `/dev/${disk}`;
    const path = scene.workshop.blank("numbered.img", MiB);
    const [kept, none] = [new KeptNumbers("diskseq", 1), new KeptNumbers("diskseq", 0)];
    const isRight = () => {
      const expected = Number(sys(device, "diskseq"));
      assert.equal(kept.read(disk, folder), expected);
      assert.equal(none.read(disk, folder), expected);
      return expected;
    };
    const unbound = isRight();
    await attached(helper, { path, device });
    const bound = isRight();
    assert.notEqual(bound, unbound);
    await helper.request("loop/detach", { device });
    assert.notEqual(isRight(), bound);
    await helper.request("loop/remove", { device });
    assert.equal(kept.read(disk, folder), undefined);
    assert.equal(none.read(disk, folder), undefined);
    await addDevice(control, number);
    isRight();
    await helper.request("loop/remove", { device });
  });

  it("keeps no more files open than it is to", () => {
    using folder = openVirtualDisks();
    const open = () => readdirSync("/proc/self/fd").length;
    const kept = new KeptNumbers("diskseq", 2);
    const before = open();
    for (const disk of ["loop0", "loop1", "loop2", "loop3"]) {
      assert.equal(kept.read(disk, folder), Number(sys(`/dev/${disk}`, "diskseq")));
      assert.equal(kept.read(disk, folder), Number(sys(`/dev/${disk}`, "diskseq")));
    }
    assert.equal(open() - before, 2);
  });
});
