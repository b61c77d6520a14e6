import assert from "node:assert/strict";
import { linkSync, renameSync, rmSync, statSync, symlinkSync } from "node:fs";
import { after, before, beforeEach, describe, it } from "node:test";
import { devnum as devnumOf } from "../../helper/linux/devnum";
import { O_RDONLY, openFile } from "../../helper/linux/file";
import { ioctl, ioctlAsync } from "../../helper/linux/libc";
import type { Params } from "../../helper/protocol";
import type { TestHelper } from "../helper";
import { KiB, MiB, run } from "../images";
import { helperWithOwnDev } from "./own-dev";
import { attached, problem, quick, Scene, until } from "./scene";

/** <linux/loop.h>: gives a read-only device another image of the same size, as live CDs do. */
const LOOP_CHANGE_FD = 0x4c06;

describe("overlap", { concurrency: false }, () => {
  let scene: Scene;
  let helper: TestHelper;
  let path = "";
  let images = 0;
  before(async () => {
    ({ scene, helper } = await Scene.set().then((it) => ({ scene: it, helper: it.helper })));
  });
  after(() => scene[Symbol.asyncDispose]());
  const detachAll = async () => {
    for (const device of scene.bound()) {
      await helper.request("loop/detach", { device, confirmForeign: true });
    }
  };
  beforeEach(async () => {
    await detachAll();
    path = scene.workshop.blank(`${images++}.img`, MiB);
  });

  it("refuse, the default: an image is attached once, by whatever name", async () => {
    const device = await attached(helper, { path });
    const link = `${path}.link`;
    symlinkSync(path, link);
    linkSync(path, `${path}.hard`);
    for (const name of [path, link, `${path}.hard`]) {
      await assert.rejects(
        helper.request("loop/attach", { path: name }),
        problem("overlap", { device: device.device }),
      );
    }
    assert.equal(scene.bound().length, 1);
  });

  it("refuse: parts that overlap, and only those", async () => {
    const middle = await attached(helper, { path, offset: 256 * KiB, sizeLimit: 256 * KiB });
    const overlapping: Partial<Params<"loop/attach">>[] = [
      {},
      { offset: 256 * KiB, sizeLimit: 256 * KiB },
      { offset: 511 * KiB },
      { sizeLimit: 257 * KiB },
      { offset: 300 * KiB, sizeLimit: 512 },
    ];
    for (const part of overlapping) {
      await assert.rejects(
        helper.request("loop/attach", { path, ...part }),
        problem("overlap", { device: middle.device }),
      );
    }
    await attached(helper, { path, sizeLimit: 256 * KiB });
    await attached(helper, { path, offset: 512 * KiB });
  });

  it("refuse: another file that has come to the image's path is no overlap, the renamed image is", async () => {
    const device = await attached(helper, { path });
    renameSync(path, `${path}.old`);
    scene.workshop.blank(path.slice(scene.folder.length + 1), MiB);
    await attached(helper, { path });
    await assert.rejects(
      helper.request("loop/attach", { path: `${path}.old` }),
      problem("overlap", { device: device.device }),
    );
    // The kernel goes on to show the path of a deleted image.
    rmSync(path);
    scene.workshop.blank(path.slice(scene.folder.length + 1), MiB);
    await attached(helper, { path });
    assert.equal(scene.bound().length, 3);
  });

  it("refuse: what a device was seen to have before is no word on the image that it has now", async () => {
    const other = scene.workshop.blank("other.img", MiB);
    const { device } = await attached(helper, { path: other });
    // The helper has seen by now that it is another image's.
    await attached(helper, { path });
    await helper.request("loop/detach", { device });
    await helper.request("loop/detach", { device: scene.bound()[0] ?? "" });
    run("losetup", [device, path]);
    await assert.rejects(helper.request("loop/attach", { path }), problem("overlap", { device }));
    await attached(helper, { path: other });
  });

  it("refuse: nor is what the helper itself has attached, where another image has been put under it since", async () => {
    const other = scene.workshop.blank("put-under.img", MiB);
    const { device } = await attached(helper, { path, readOnly: true });
    {
      using loop = openFile(device, O_RDONLY);
      using image = openFile(other, O_RDONLY);
      ioctl(loop.fd, LOOP_CHANGE_FD, image.fd, ["LOOP_CHANGE_FD", device]);
    }
    await assert.rejects(helper.request("loop/attach", { path: other }), problem("overlap", { device }));
    await attached(helper, { path });
  });

  it("refuse: nor is what a device shows while another image is just being put under it", async () => {
    const [first, second] = ["first.img", "second.img"].map((name) => scene.workshop.blank(name, MiB)) as [
      string,
      string,
    ];
    const device = run("losetup", ["--find", "--show", "--read-only", first]).trim();
    using loop = openFile(device, O_RDONLY);
    for (let round = 0; round < 5; round++) {
      for (const next of [second, first]) {
        using image = openFile(next, O_RDONLY);
        // The number is a new one at once, and the image some 10 ms later.
        const changing = ioctlAsync(loop.fd, LOOP_CHANGE_FD, image.fd, ["LOOP_CHANGE_FD", device]);
        const other = await attached(helper, { path });
        await changing;
        await helper.request("loop/detach", { device: other.device });
        await assert.rejects(helper.request("loop/attach", { path: next }), problem("overlap", { device }));
      }
    }
  });

  it("refuse: an image that something is mounted over, where another file of its size has come to its path", async () => {
    run("mkdir", [scene.workshop.path("covered")]);
    const image = scene.workshop.blank("covered/image", MiB);
    linkSync(image, `${path}.hard`);
    const { device } = await attached(helper, { path: image });
    const target = scene.mount("none", "covered", "-t", "tmpfs");
    try {
      await attached(helper, { path: scene.workshop.blank("covered/image", MiB) });
      await assert.rejects(helper.request("loop/attach", { path: `${path}.hard` }), problem("overlap", { device }));
      await assert.rejects(helper.request("loop/attach", { path: `${path}.hard` }), problem("overlap", { device }));
    } finally {
      await detachAll();
      run("umount", [target]);
    }
  });

  it("refuse: nor is a file that has been mounted over its image taken for what another program has attached", async () => {
    run("mkdir", [scene.workshop.path("over")]);
    const image = scene.workshop.blank("over/image", MiB);
    linkSync(image, `${path}.hard`);
    const device = run("losetup", ["--find", "--show", image]).trim();
    const target = scene.mount("none", "over", "-t", "tmpfs");
    scene.workshop.blank("over/image", MiB);
    try {
      // Looked at first for an image that is where the other file is.
      await attached(helper, { path: scene.workshop.blank("over/another", MiB) });
      for (let round = 0; round < 2; round++) {
        await assert.rejects(helper.request("loop/attach", { path: `${path}.hard` }), problem("overlap", { device }));
      }
      await attached(helper, { path: `${target}/image` });
    } finally {
      await detachAll();
      run("umount", [target]);
    }
  });

  it("refuse: an image on overlayfs, which becomes another file when it is opened for writing", async () => {
    const lower = scene.mount("none", "lower", "-t", "tmpfs");
    const upper = scene.mount("none", "upper", "-t", "tmpfs");
    run("mkdir", [`${upper}/files`, `${upper}/work`]);
    const image = scene.workshop.blank("lower/image", MiB);
    // Of a file with several names, the number changes as well.
    linkSync(image, `${image}.hard`);
    const layers = `xino=off,index=off,lowerdir=${lower},upperdir=${upper}/files,workdir=${upper}/work`;
    const merged = scene.mount("none", "merged", "-t", "overlay", "-o", layers);
    try {
      const { device } = await attached(helper, { path: `${merged}/image`, readOnly: true });
      await attached(helper, { path });
      await assert.rejects(helper.request("loop/attach", { path: `${merged}/image` }), problem("overlap", { device }));
      await assert.rejects(helper.request("loop/attach", { path: `${merged}/image` }), problem("overlap", { device }));
    } finally {
      await detachAll();
      run("umount", [merged, upper, lower]);
    }
  });

  it("refuse: an image whose path has become longer than the kernel can say", async () => {
    // As its owner can make it who moves the folder.
    const long = (name: string) =>
      Array.from({ length: 12 }, (_, level) => `${name}${level}`.padEnd(200, "-")).join("/");
    const [one, two] = [scene.workshop.path(long("a")), scene.workshop.path(long("b"))];
    run("mkdir", ["--parents", one, two]);
    const image = `${two}/image`;
    scene.workshop.blank(`${long("b")}/image`, MiB);
    linkSync(image, `${path}.hard`);
    const { device } = await attached(helper, { path: image });
    const [folder, moved] = [scene.workshop.path("b0".padEnd(200, "-")), `${one}/moved`];
    renameSync(folder, moved);
    try {
      await assert.rejects(helper.request("loop/attach", { path: `${path}.hard` }), problem("overlap", { device }));
      const other = await attached(helper, { path });
      await assert.rejects(helper.request("loop/attach", { path: `${path}.hard` }), problem("overlap", { device }));
      await helper.request("loop/flush", { device });
      const { devices } = await helper.request("devices/list", {});
      const found = devices.flatMap((it) => ([device, other.device].includes(it.device) ? [it] : []));
      assert.deepEqual(
        found.map((it) => it.kind === "loop" && [it.device, it.backingFile, it.backingFileDeleted]),
        [
          [device, "", false],
          [other.device, path, false],
        ].sort(),
      );
    } finally {
      renameSync(moved, folder);
    }
  });

  it("refuse: an image whose device has no node here, as in a container, or another device's in its place", async () => {
    const { helper: other, dev } = await helperWithOwnDev(scene);
    const { device, devnum } = await attached(helper, { path });
    const node = `${dev}/${device.slice("/dev/".length)}`;
    await assert.rejects(other.request("loop/attach", { path }), problem("overlap", { device }));
    assert.equal(devnumOf(statSync(node, { bigint: true }).rdev), devnum, "it is made");
    const shared = await other.request("loop/attach", { path, overlap: "share" });
    assert.deepEqual([shared.shared, shared.device.device], [true, device]);
    const stranger = await attached(helper, { path: scene.workshop.blank("stranger.img", MiB) });
    for (const stand of [
      () => run("mknod", [node, "b", ...stranger.devnum.split(":")]),
      () => symlinkSync("nowhere", node),
    ]) {
      rmSync(node);
      stand();
      const says = /isn't the kernel's device/;
      await assert.rejects(other.request("loop/attach", { path }), problem("kernel", { device, says }));
    }
    assert.deepEqual(scene.bound(), [device, stranger.device].sort());
  });

  it("share: hands back the same device for the same part and access", async () => {
    const first = await helper.request("loop/attach", { path, offset: 4 * KiB, overlap: "share" });
    const second = await helper.request("loop/attach", { path, offset: 4 * KiB, overlap: "share" });
    assert.equal(first.shared, false);
    assert.equal(second.shared, true);
    assert.deepEqual(second.device, first.device);
    assert.equal(scene.bound().length, 1);
  });

  it("share: refuses another offset, size limit or access", async () => {
    const { device } = await attached(helper, { path, offset: 4 * KiB });
    for (const other of [
      { offset: 8 * KiB },
      { offset: 4 * KiB, sizeLimit: 8 * KiB },
      { offset: 4 * KiB, readOnly: true },
    ]) {
      await assert.rejects(
        helper.request("loop/attach", { path, ...other, overlap: "share" }),
        problem("overlap", { device }),
      );
    }
  });

  it("share: a device that was to go with its last user stays for the second, as long as that one's helper lives", async () => {
    const [one, two] = [await scene.helperWith(), await scene.helperWith()];
    const first = await one.request("loop/attach", { path, overlap: "share", autoclear: true });
    const second = await two.request("loop/attach", { path, overlap: "share", autoclear: true });
    assert.deepEqual([second.shared, second.device.device], [true, first.device.device]);
    await one[Symbol.asyncDispose]();
    assert.deepEqual(scene.bound(), [first.device.device]);
    await two[Symbol.asyncDispose]();
    // Others may have a look at it just then.
    await until(() => scene.bound().length === 0, "gone with the second");
  });

  it("allow: a second device all the same", async () => {
    const first = await attached(helper, { path });
    const second = await helper.request("loop/attach", { path, overlap: "allow" });
    assert.equal(second.shared, false);
    assert.notEqual(second.device.device, first.device);
    // With two there is no telling which to share.
    await assert.rejects(helper.request("loop/attach", { path, overlap: "share" }), problem("overlap"));
  });

  it("a copy in memory overlaps nothing, and nothing overlaps it", async () => {
    const copy = await attached(helper, { path, inMemory: true });
    await attached(helper, { path });
    const another = await attached(helper, { path, inMemory: true });
    await helper.request("loop/detach", { device: copy.device });
    await helper.request("loop/detach", { device: another.device });
  });

  it("two who share at once get one device; of many who don't, one gets it", async () => {
    const helpers = await Promise.all(Array.from({ length: 6 }, () => scene.helperWith()));
    for (let round = 0; round < (quick ? 5 : 15); round++) {
      const shared = await Promise.all(helpers.map((it) => it.request("loop/attach", { path, overlap: "share" })));
      assert.equal(new Set(shared.map((it) => it.device.device)).size, 1);
      assert.equal(shared.filter((it) => !it.shared).length, 1, "attached once");
      assert.ok(shared.every((it) => !it.device.autoclear));
      assert.equal(scene.bound().length, 1);
      await helper.request("loop/detach", { device: shared[0]?.device.device ?? "" });

      const refused = await Promise.allSettled(helpers.map((it) => it.request("loop/attach", { path })));
      assert.equal(refused.filter((it) => it.status === "fulfilled").length, 1);
      for (const it of refused) {
        assert.ok(it.status === "fulfilled" || problem("overlap")(it.reason));
      }
      assert.equal(scene.bound().length, 1);
      await helper.request("loop/detach", { device: scene.bound()[0] ?? "" });
    }
  });
});
