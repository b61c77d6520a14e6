import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import type { User } from "../../helper/protocol";
import type { TestHelper } from "../helper";
import { KiB, MiB, run } from "../images";
import { attached, forgetBtrfsOn, letUdevLook, problem, Scene } from "./scene";

describe("what the system itself uses is refused as an image", { concurrency: false }, () => {
  let scene: Scene;
  let helper: TestHelper;
  before(async () => {
    ({ scene, helper } = await Scene.set().then((it) => ({ scene: it, helper: it.helper })));
  });
  after(() => scene[Symbol.asyncDispose]());

  const loop = async (image: string) => (await attached(helper, { path: image })).device;
  const detach = (...devices: string[]) =>
    Promise.all(devices.map((device) => helper.request("loop/detach", { device })));
  const mount = (target: string): User => ({ kind: "mount", target });

  const mounts = () => readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  const picture = () => [scene.bound(), mounts().filter((line) => line.includes(scene.folder))];

  /** In every way that there is to ask for it; nothing is other than before. */
  async function refused(path: string, users: User[], says: RegExp): Promise<void> {
    const before = picture();
    for (const more of [
      {},
      { readOnly: true },
      { offset: 64 * KiB },
      { overlap: "allow" },
      { inMemory: true },
    ] as const) {
      await assert.rejects(helper.request("loop/attach", { path, ...more }), problem("busy", { users, says }));
    }
    assert.deepEqual(picture(), before);
  }

  it("a mounted device, by whatever node, until it is unmounted", async () => {
    const device = await loop(scene.workshop.fileSystem("ext4", "mounted"));
    const target = scene.mount(device, "mounted");
    await refused(device, [mount(target)], new RegExp(`^${device} can't be an image while it is mounted at ${target}`));
    const node = scene.workshop.path("node");
    run("cp", ["--archive", device, node]);
    await refused(node, [mount(target)], new RegExp(`^${node} can't be an image while it is mounted at ${target}`));
    run("umount", [target]);
    assert.equal((await helper.request("loop/attach", { path: device })).shared, true);
    await detach(device);
  });

  it("a disk with a mounted partition, but not another partition of it", async () => {
    const disk = scene.workshop.disk("parts.img", 40 * MiB, "label: gpt\nsize=8M\nsize=8M\n");
    scene.workshop.put(disk, MiB, scene.workshop.fileSystem("ext4", "part"));
    const device = await loop(disk);
    letUdevLook();
    const target = scene.mount(`${device}p1`, "part");
    await refused(device, [mount(target)], new RegExp(`while ${device}p1 is mounted at ${target}`));
    await refused(`${device}p1`, [mount(target)], new RegExp(`while it is mounted at ${target}`));
    const other = await helper.request("loop/attach", { path: `${device}p2` });
    assert.deepEqual([other.shared, other.device.device], [true, `${device}p2`]);
    run("umount", [target]);
    await detach(device);
  });

  it("a partition of a disk that is mounted whole", async () => {
    const device = await loop(scene.workshop.fileSystem("ext4", "whole", 8 * MiB));
    // Were the table read anew after that, the partition would be gone: it isn't in there.
    letUdevLook();
    run("addpart", [device, "1", "2048", "2048"]);
    const target = scene.mount(device, "whole");
    await refused(`${device}p1`, [mount(target)], new RegExp(`while ${device} is mounted at ${target}`));
    run("umount", [target]);
    await detach(device);
  });

  it("a device under a loop device that is mounted", async () => {
    const lower = await loop(scene.workshop.fileSystem("ext4", "lower"));
    const upper = (await attached(helper, { path: lower, overlap: "allow" })).device;
    const target = scene.mount(upper, "upper");
    await refused(lower, [mount(target)], new RegExp(`while ${upper} is mounted at ${target}`));
    run("umount", [target]);
    await detach(upper);
    await detach(lower);
  });

  it("the second device of a file system on two, of which the list of mounts says nothing", async () => {
    const devices = await Promise.all(["one", "two"].map((name) => loop(scene.workshop.blank(name, 110 * MiB))));
    run("mkfs.btrfs", ["-q", "-f", ...devices]);
    const target = scene.mount(devices[0] ?? "", "btrfs", "-o", `device=${devices[1]}`);
    await refused(devices[0] ?? "", [mount(target)], /while it is mounted/);
    await refused(devices[1] ?? "", [], /has claimed it for itself alone/);
    run("umount", [target]);
    await forgetBtrfsOn(devices);
    await detach(...devices);
  });

  it("a device that is mounted where we can't see it", async () => {
    const device = await loop(scene.workshop.fileSystem("ext4", "elsewhere"));
    run("mkdir", [scene.workshop.path("elsewhere")]);
    const script = 'mount "$0" "$1" && echo mounted && exec cat';
    const elsewhere = spawn("unshare", ["--mount", "sh", "-c", script, device, scene.workshop.path("elsewhere")], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    try {
      await once(elsewhere.stdout, "data");
      await refused(device, [], /mounted where Diskloom can't see that/);
    } finally {
      elsewhere.stdin.end();
      await once(elsewhere, "exit");
    }
    assert.equal((await helper.request("loop/attach", { path: device })).shared, true);
    await detach(device);
  });

  it("swap space, on a device and in a file", async () => {
    const device = await loop(scene.workshop.fileSystem("swap"));
    const target = scene.mount(scene.workshop.fileSystem("ext4", "files", 16 * MiB), "files");
    const file = `${target}/swap file`;
    run("dd", ["if=/dev/zero", `of=${file}`, "bs=1M", "count=4", "status=none"]);
    run("chmod", ["600", file]);
    run("mkswap", [file]);
    run("swapon", [device]);
    try {
      await refused(device, [mount("[SWAP]")], new RegExp(`in use as swap space.*Run "swapoff ${device}" first`));
      run("swapon", [file]);
      try {
        await refused(file, [mount("[SWAP]")], new RegExp(`in use as swap space\\. Run "swapoff ${file}" first`));
      } finally {
        run("swapoff", [file]);
      }
    } finally {
      run("swapoff", [device]);
    }
    await detach(await loop(file), device);
    run("umount", [target]);
  });

  if (process.env.DISKLOOM_GUEST) {
    it("a device under a mapper device that is mounted", async () => {
      const device = await loop(scene.workshop.fileSystem("ext4", "mapped"));
      const name = "diskloom-test-in-use";
      run("dmsetup", ["create", name, "--table", `0 ${(4 * MiB) / 512} linear ${device} 0`]);
      try {
        assert.equal((await helper.request("loop/attach", { path: device })).shared, true);
        const target = scene.mount(`/dev/mapper/${name}`, "mapped");
        await refused(device, [mount(target)], new RegExp(`while /dev/mapper/${name} is mounted at ${target}`));
        run("umount", [target]);
      } finally {
        run("dmsetup", ["remove", "--retry", name]);
      }
      await detach(device);
    });
  }

  it("but nobody is refused because others ask for the same at that moment", async () => {
    const device = await loop(scene.workshop.blank("free.img", MiB));
    const helpers = [helper, ...(await Promise.all([1, 2, 3].map(() => scene.helperWith())))];
    const answers = helpers.flatMap((one) =>
      Array.from({ length: 4 }, () => one.request("loop/attach", { path: device })),
    );
    assert.ok((await Promise.all(answers)).every(({ shared }) => shared));
    await detach(device);
  });
});
