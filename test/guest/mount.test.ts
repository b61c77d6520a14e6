/*
 * Mounting on a kernel with udev, parsers for partitions, and file systems that containers' kernels often lack: vfat,
 * iso9660. Emulated, so that every second counts several times.
 */
import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  writeFileSync,
} from "node:fs";
import { describe, it } from "node:test";
import type { LoopDevice } from "../../helper/protocol";
import type { TestHelper } from "../helper";
import { type FileSystem, MiB, run } from "../images";
import { attached, letUdevLook, problem, Scene } from "../kernel/scene";

const NOBODY = 65534;
const KEPT = ["nosuid", "nodev"];

async function sceneOfUser(): Promise<Scene & { helper: TestHelper }> {
  const scene = await Scene.set({ environment: { ...process.env, SUDO_UID: `${NOBODY}` } });
  chmodSync(scene.folder, 0o755);
  return scene;
}

function image(scene: Scene, type: FileSystem): string {
  const path = scene.workshop.fileSystem(type);
  chownSync(path, NOBODY, NOBODY);
  return path;
}

/** As Raspberry Pi OS comes: an MBR, a small vfat to boot from, and ext4. */
function raspberryPi(scene: Scene): string {
  const disk = scene.workshop.disk(
    "pi.img",
    32 * MiB,
    "label: dos\nstart=8192, size=8M, type=c\nstart=24576, type=83\n",
  );
  const boot = scene.workshop.blank("boot", 8 * MiB);
  run("mkfs.vfat", ["-n", "bootfs", boot]);
  const files = scene.workshop.path("files");
  mkdirSync(`${files}/etc`, { recursive: true });
  writeFileSync(`${files}/etc/hostname`, "raspberrypi\n");
  const root = scene.workshop.blank("root", 12 * MiB);
  run("mkfs.ext4", ["-q", "-L", "rootfs", "-d", files, root]);
  scene.workshop.put(disk, 8192 * 512, boot);
  scene.workshop.put(disk, 8192 * 512 + 8 * MiB, root);
  chownSync(disk, NOBODY, NOBODY);
  return disk;
}

async function mounted(helper: TestHelper, { diskSequence }: LoopDevice, device: string) {
  return (await helper.request("mount/mount", { device, diskSequence })).mount;
}

describe("mount in the guest", { concurrency: false }, () => {
  it("gives the files of a vfat to the caller", async () => {
    await using scene = await sceneOfUser();
    const device = await attached(scene.helper, { path: image(scene, "vfat") });
    const mount = await mounted(scene.helper, device, device.device);
    assert.equal(mount.target, "/run/media/nobody/BOOT");
    assert.equal(mount.fileSystem, "vfat");
    writeFileSync(`${mount.target}/Grüße ✓.txt`, "hello");
    const file = lstatSync(`${mount.target}/Grüße ✓.txt`);
    assert.deepEqual([file.uid, file.gid, file.mode & 0o777], [NOBODY, NOBODY, 0o755]);
    assert.ok(KEPT.every((option) => mount.options.includes(option)));
    await scene.helper.request("mount/unmount", { device: device.device });
    assert.ok(!existsSync(mount.target));
  });

  it("takes options of vfat for the caller's own ids only", async () => {
    await using scene = await sceneOfUser();
    const device = await attached(scene.helper, { path: image(scene, "vfat") });
    const wish = { device: device.device, diskSequence: device.diskSequence };
    await assert.rejects(
      scene.helper.request("mount/mount", { ...wish, options: ["uid=0"] }),
      problem("invalid", { says: /"uid=0"/ }),
    );
    const options = ["dmask=0077", "fmask=0177", "shortname=lower"];
    const { mount } = await scene.helper.request("mount/mount", { ...wish, options });
    writeFileSync(`${mount.target}/file`, "");
    assert.equal(lstatSync(`${mount.target}/file`).mode & 0o777, 0o600);
    await scene.helper.request("mount/unmount", { device: device.device });
  });

  it("mounts a hybrid ISO as a whole, for reading", async () => {
    await using scene = await sceneOfUser();
    const device = await attached(scene.helper, { path: image(scene, "iso") });
    const mount = await mounted(scene.helper, device, device.device);
    assert.deepEqual([mount.fileSystem, mount.readOnly], ["iso9660", true]);
    assert.equal(readFileSync(`${mount.target}/hello.txt`, "utf8"), "Hello.\n");
    await scene.helper.request("mount/unmount", { device: device.device });
  });

  it("mounts both partitions of a Raspberry Pi's image, and what is edited is in the image", async () => {
    await using scene = await sceneOfUser();
    const path = raspberryPi(scene);
    const device = await attached(scene.helper, { path });
    assert.deepEqual(
      device.partitions.map(({ content }) => content.type),
      ["vfat", "ext4"],
    );
    const [boot, root] = [
      await mounted(scene.helper, device, `${device.device}p1`),
      await mounted(scene.helper, device, `${device.device}p2`),
    ];
    assert.deepEqual([boot.target, root.target], ["/run/media/nobody/bootfs", "/run/media/nobody/rootfs"]);
    letUdevLook();
    assert.equal(realpathSync("/dev/disk/by-label/rootfs"), `${device.device}p2`);
    writeFileSync(`${boot.target}/ssh`, "");
    writeFileSync(`${root.target}/etc/hostname`, "diskloom\n");
    const { devices } = await scene.helper.request("devices/list", {});
    const listed = devices.find((other) => other.device === device.device)?.partitions ?? [];
    assert.ok(listed.every(({ mounts }) => (mounts[0]?.space?.total ?? 0) > MiB));
    await scene.helper.request("loop/detach", { device: device.device, whenBusy: "unmount" });
    assert.deepEqual([boot.target, root.target].map(existsSync), [false, false]);
    run("dd", [`if=${path}`, `of=${path}.root`, "bs=1M", "skip=12", "status=none"]);
    assert.equal(run("debugfs", ["-R", "cat etc/hostname", `${path}.root`]), "diskloom\n");
  });

  it("shows files with other owners where that is wished", async () => {
    await using scene = await sceneOfUser();
    const device = await attached(scene.helper, { path: image(scene, "ext4") });
    const { mount } = await scene.helper.request("mount/mount", { device: device.device, idMap: true });
    assert.equal(lstatSync(mount.target).uid, NOBODY);
    await scene.helper.request("mount/unmount", { target: mount.target });
    assert.ok(!existsSync(mount.target));
  });

  it("mounts a mapper device that is the caller's", async () => {
    await using scene = await sceneOfUser();
    const loop = await attached(scene.helper, { path: image(scene, "ext4") });
    const table = [{ startSectors: 0, lengthSectors: loop.size / 512, type: "linear", params: `${loop.device} 0` }];
    const { device } = await scene.helper.request("mapper/create", { name: "mount-test", table });
    try {
      const { mount } = await scene.helper.request("mount/mount", { device: device.device });
      assert.equal(mount.target, "/run/media/nobody/Ext Label");
      await scene.helper.request("mount/unmount", { device: device.device });
      assert.ok(!existsSync(mount.target));
      await scene.helper.request("mount/mount", { device: device.device });
      await scene.helper.request("mapper/remove", { device: device.device, whenBusy: "unmount" });
      assert.ok(!existsSync(mount.target));
    } finally {
      if (existsSync(device.device)) {
        run("dmsetup", ["remove", "--force", "mount-test"]);
      }
    }
  });
});
