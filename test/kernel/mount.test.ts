/* Mounting and unmounting: for root, and for a user on whose behalf a root helper acts. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { O_RDONLY, openFile } from "../../helper/linux/file";
import { mountOnto, unmount } from "../../helper/linux/mount";
import { deviceUnder, readMounts } from "../../helper/linux/mountinfo";
import { safeName } from "../../helper/mount/name";
import type { LoopDevice, Params } from "../../helper/protocol";
import type { TestHelper } from "../helper";
import { type FileSystem, MiB, run } from "../images";
import { attached, badParams, letUdevLook, problem, quick, Scene, until } from "./scene";

/** A user without a home or any rights, whom every Linux has. */
const NOBODY = 65534;
const MEDIA = "/run/media";
const DAMAGED_OPTIONS = [
  "suid",
  "dev",
  "rw,suid",
  "uid=0",
  "errors=panic",
  "journal_path=/dev/sda",
  "subvol=x",
  "ro=1",
];
const RACES = quick ? 50 : 500;

/** A scene with a helper that acts for NOBODY, as sudo would start it, and images that are that user's. */
async function sceneOfUser(): Promise<Scene & { helper: TestHelper }> {
  const scene = await Scene.set({ environment: { ...process.env, SUDO_UID: `${NOBODY}`, SUDO_GID: `${NOBODY}` } });
  chmodSync(scene.folder, 0o755);
  return scene;
}

function image(scene: Scene, type: FileSystem, name: string = type): string {
  const path = scene.workshop.fileSystem(type, name);
  chownSync(path, NOBODY, NOBODY);
  return path;
}

/** A disk with two ext4 partitions, called one and two. */
function twoPartitions(scene: Scene, name = "two.img"): string {
  const disk = scene.workshop.disk(name, 20 * MiB, "label: gpt\nstart=2048, size=8M\nstart=20480, size=8M\n");
  for (const [index, label] of ["one", "two"].entries()) {
    const part = scene.workshop.blank(label, 8 * MiB);
    run("mkfs.ext4", ["-q", "-F", "-L", label, part]);
    scene.workshop.put(disk, ([2048, 20480][index] as number) * 512, part);
  }
  chownSync(disk, NOBODY, NOBODY);
  return disk;
}

function meant({ device, diskSequence }: LoopDevice): Pick<LoopDevice, "device" | "diskSequence"> {
  return { device, diskSequence };
}

async function mountIt(helper: TestHelper, params: Params<"mount/mount">) {
  return (await helper.request("mount/mount", params)).mount;
}

function mountsAt(target: string) {
  return readMounts().filter((mount) => mount.target === target);
}

/** A process that stands in a folder, so that it can't be unmounted. */
async function standIn(folder: string): Promise<ChildProcess> {
  const child = spawn("sleep", ["1000"], { cwd: folder, stdio: "ignore" });
  await once(child, "spawn");
  return child;
}

async function leave(child: ChildProcess): Promise<void> {
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}

const asNobody = ["--reuid", `${NOBODY}`, "--regid", `${NOBODY}`, "--clear-groups", "--"];

describe("mount", { concurrency: false }, () => {
  const there = [MEDIA, `${MEDIA}/root`, `${MEDIA}/nobody`].filter((folder) => existsSync(folder));
  let before_: string[];
  before(() => {
    before_ = readMounts().map(({ target }) => target);
  });
  after(() => {
    for (const folder of [`${MEDIA}/root`, `${MEDIA}/nobody`, MEDIA]) {
      if (!there.includes(folder) && existsSync(folder)) {
        // Fails where a folder was left in it.
        rmdirSync(folder);
      }
    }
    assert.deepEqual(
      readMounts().map(({ target }) => target),
      before_,
    );
  });

  it("mounts under the label, lets files be changed, and takes the folder away again", async () => {
    await using scene = await Scene.set();
    const path = image(scene, "ext4");
    const device = await attached(scene.helper, { path });
    const mount = await mountIt(scene.helper, meant(device));
    assert.equal(mount.target, `${MEDIA}/root/Ext Label`);
    assert.equal(mount.fileSystem, "ext4");
    assert.equal(mount.readOnly, false);
    writeFileSync(`${mount.target}/edited`, "by hand");
    await scene.helper.request("mount/unmount", meant(device));
    assert.ok(!existsSync(mount.target));
    await scene.helper.request("loop/detach", meant(device));
    assert.equal(run("debugfs", ["-R", "cat edited", path]), "by hand");
  });

  for (const type of ["xfs", "btrfs", "squashfs", "erofs"] as const) {
    it(`mounts ${type}`, async () => {
      await using scene = await sceneOfUser();
      const device = await attached(scene.helper, { path: image(scene, type) });
      const mount = await mountIt(scene.helper, meant(device));
      assert.equal(mount.fileSystem, type);
      assert.equal(mount.readOnly, type === "squashfs" || type === "erofs");
      assert.ok(mount.options.includes("nosuid") && mount.options.includes("nodev"));
      assert.equal(readMounts().find(({ target }) => target === mount.target)?.source, device.device);
      await scene.helper.request("mount/unmount", { target: mount.target });
      assert.ok(!existsSync(mount.target));
    });
  }

  it("mounts partitions by their own labels, and unmounts one or all of a disk", async () => {
    await using scene = await sceneOfUser();
    const device = await attached(scene.helper, { path: twoPartitions(scene) });
    const { diskSequence } = device;
    const targets: string[] = [];
    for (const { device: part } of device.partitions) {
      targets.push((await mountIt(scene.helper, { device: part, diskSequence })).target);
    }
    assert.deepEqual(targets, [`${MEDIA}/nobody/one`, `${MEDIA}/nobody/two`]);
    await scene.helper.request("mount/unmount", { device: `${device.device}p1`, diskSequence });
    assert.deepEqual(targets.map(existsSync), [false, true]);
    await mountIt(scene.helper, { device: `${device.device}p1`, diskSequence });
    await scene.helper.request("mount/unmount", meant(device));
    assert.deepEqual(targets.map(existsSync), [false, false]);
  });

  it("mounts a partition that is gone just then, as while udev has the table read anew", async () => {
    await using scene = await sceneOfUser();
    const device = await attached(scene.helper, { path: twoPartitions(scene) });
    letUdevLook();
    run("delpart", [device.device, "1"]);
    const mounting = mountIt(scene.helper, { ...meant(device), device: `${device.device}p1` });
    await sleep(100);
    run("addpart", [device.device, "1", "2048", "16384"]);
    assert.equal((await mounting).target, `${MEDIA}/nobody/one`);
    await scene.helper.request("mount/unmount", meant(device));
  });

  it("lists mounts with their space", async () => {
    await using scene = await sceneOfUser();
    const device = await attached(scene.helper, { path: image(scene, "ext4") });
    const { target } = await mountIt(scene.helper, meant(device));
    const { devices } = await scene.helper.request("devices/list", {});
    const found = devices.find((other) => other.device === device.device)?.mounts[0];
    assert.equal(found?.target, target);
    const { total = 0, used = 0, available = 0 } = found?.space ?? {};
    assert.ok(total > MiB && total <= 4 * MiB, `${total}`);
    assert.ok(used > 0 && used + available <= total, `${used} ${available}`);
    await scene.helper.request("mount/unmount", meant(device));
  });

  describe("names of folders", () => {
    it("are made safe", () => {
      assert.equal(safeName("../../etc"), "___.._etc");
      assert.equal(safeName(".hidden"), "_hidden");
      assert.equal(safeName("a/b\\c\nd\u202ee"), "a_b_c_d_e");
      assert.equal(safeName("  spaced  "), "spaced");
      assert.equal(safeName(".."), "__");
      assert.equal(safeName(" "), "");
      assert.equal(safeName("Größe ✓"), "Größe ✓");
      assert.equal(Buffer.byteLength(safeName("✓".repeat(200))), 198);
    });

    it("get a number where they are taken, and are the UUID or the device's where there is no label", async () => {
      await using scene = await sceneOfUser();
      const [first, second] = [image(scene, "ext4", "a"), image(scene, "ext4", "b")];
      run("tune2fs", ["-U", "random", second]);
      const labelled = await attached(scene.helper, { path: first });
      assert.equal((await mountIt(scene.helper, meant(labelled))).target, `${MEDIA}/nobody/Ext Label`);
      const other = await attached(scene.helper, { path: second });
      assert.equal((await mountIt(scene.helper, meant(other))).target, `${MEDIA}/nobody/Ext Label 1`);
      const third = image(scene, "ext4", "c");
      run("tune2fs", ["-L", "", third]);
      const nameless = await attached(scene.helper, { path: third });
      assert.equal((await mountIt(scene.helper, meant(nameless))).target, `${MEDIA}/nobody/${nameless.content.uuid}`);
      for (const device of [labelled, other, nameless]) {
        await scene.helper.request("mount/unmount", meant(device));
      }
      assert.deepEqual(readdirSync(`${MEDIA}/nobody`), []);
    });

    it("stay within the user's folder whatever the label says", async () => {
      await using scene = await sceneOfUser();
      const path = image(scene, "ext4");
      run("tune2fs", ["-L", "../../../x", path]);
      const device = await attached(scene.helper, { path });
      const { target } = await mountIt(scene.helper, meant(device));
      assert.equal(target, `${MEDIA}/nobody/___.._.._x`);
      await scene.helper.request("mount/unmount", meant(device));
    });

    it("are in a folder that is root's and that the user can enter", async () => {
      await using scene = await sceneOfUser();
      const device = await attached(scene.helper, { path: image(scene, "ext4") });
      const { target } = await mountIt(scene.helper, meant(device));
      const { uid, mode } = statSync(`${MEDIA}/nobody`);
      assert.deepEqual([uid, mode & 0o022], [0, 0]);
      assert.equal(spawnSync("setpriv", [...asNobody, "ls", target]).status, 0);
      await scene.helper.request("mount/unmount", meant(device));
    });
  });

  describe("options", () => {
    it("that do no harm are taken", async () => {
      await using scene = await sceneOfUser();
      const device = await attached(scene.helper, { path: image(scene, "ext4") });
      const options = ["noexec", "noatime", "sync", "errors=continue"];
      const mount = await mountIt(scene.helper, { ...meant(device), options });
      for (const option of ["noexec", "noatime", "sync", "nosuid", "nodev"]) {
        assert.ok(mount.options.includes(option), `${option} in ${mount.options}`);
      }
      await scene.helper.request("mount/unmount", meant(device));
    });

    it("that could do any are refused by name, and nothing is mounted", async () => {
      await using scene = await sceneOfUser();
      const device = await attached(scene.helper, { path: image(scene, "ext4") });
      for (const option of DAMAGED_OPTIONS) {
        await assert.rejects(
          scene.helper.request("mount/mount", { ...meant(device), options: ["ro", option] }),
          problem("invalid", { says: new RegExp(JSON.stringify(option).replace(/[.*+?^${}()|[\]\\]/g, "\\$&")) }),
        );
      }
      await assert.rejects(
        scene.helper.request("mount/mount", { ...meant(device), options: ["noload"] }),
        problem("invalid", { says: /read-only devices/ }),
      );
      await assert.rejects(
        scene.helper.request("mount/mount", { ...meant(device), fileSystem: "a b" }),
        badParams("fileSystem"),
      );
      assert.deepEqual(
        readMounts().filter(({ source }) => source === device.device),
        [],
      );
    });

    it("let no image have the kernel panic at an error", async () => {
      await using scene = await sceneOfUser();
      const path = image(scene, "ext4");
      run("tune2fs", ["-e", "panic", path]);
      for (const helper of [scene.helper, await scene.helperWith()]) {
        const device = await attached(helper, { path });
        const { options } = await mountIt(helper, meant(device));
        assert.ok(options.includes("errors=remount-ro"), `${options}`);
        await helper.request("loop/detach", { ...meant(device), whenBusy: "unmount" });
      }
    });

    it("give no setuid program its rights", async () => {
      await using scene = await sceneOfUser();
      const path = image(scene, "ext4");
      const prepared = scene.mount(path, "prepared", "-o", "loop");
      copyFileSync("/usr/bin/id", `${prepared}/id`);
      chmodSync(`${prepared}/id`, 0o4755);
      run("umount", [prepared]);
      const id = (folder: string) =>
        spawnSync("setpriv", [...asNobody, `${folder}/id`, "-u"], { encoding: "utf8" }).stdout.trim();

      const device = await attached(scene.helper, { path });
      const { target } = await mountIt(scene.helper, meant(device));
      assert.equal(id(target), `${NOBODY}`);
      // The measure itself: where setuid counts, it shows.
      const control = scene.mount(device.device, "control");
      assert.equal(id(control), "0");
      run("umount", [control]);
      await scene.helper.request("mount/unmount", meant(device));
    });
  });

  describe("a chosen target", () => {
    async function stage() {
      const scene = await sceneOfUser();
      const device = await attached(scene.helper, { path: image(scene, "ext4") });
      const folder = (name: string, owner = NOBODY) => {
        const path = scene.workshop.path(name);
        mkdirSync(path);
        chownSync(path, owner, owner);
        return path;
      };
      const refuses = (target: string, ...expected: Parameters<typeof problem>) =>
        assert.rejects(scene.helper.request("mount/mount", { ...meant(device), target }), problem(...expected));
      return Object.assign(scene, { device, folder_: folder, refuses });
    }

    it("is the caller's own empty folder, and stays", async () => {
      await using scene = await stage();
      const target = scene.folder_("own");
      symlinkSync(target, scene.workshop.path("link"));
      const mount = await mountIt(scene.helper, { ...meant(scene.device), target: scene.workshop.path("link") });
      assert.equal(mount.target, target);
      await scene.helper.request("mount/unmount", { target });
      assert.ok(existsSync(target));
      assert.deepEqual(mountsAt(target), []);
    });

    it("is refused where it is missing, not empty, no folder, somebody else's, out of reach or taken", async () => {
      await using scene = await stage();
      await scene.refuses(scene.workshop.path("missing"), "notFound");
      const full = scene.folder_("full");
      writeFileSync(`${full}/file`, "");
      await scene.refuses(full, "invalid", { says: /empty/ });
      await scene.refuses(`${full}/file`, "invalid");
      await scene.refuses(scene.folder_("roots", 0), "notPermitted");
      await scene.refuses("/mnt", "notPermitted");
      symlinkSync("/mnt", scene.workshop.path("to-mnt"));
      await scene.refuses(scene.workshop.path("to-mnt"), "notPermitted");
      const closed = scene.folder_("closed", 0);
      mkdirSync(`${closed}/inside`);
      chownSync(`${closed}/inside`, NOBODY, NOBODY);
      chmodSync(closed, 0o700);
      await scene.refuses(`${closed}/inside`, "notPermitted");
      const taken = scene.folder_("taken");
      run("mount", ["-t", "tmpfs", "-o", `uid=${NOBODY}`, "none", taken]);
      await scene.refuses(taken, "busy");
      await assert.rejects(
        scene.helper.request("mount/mount", { ...meant(scene.device), target: "relative" }),
        badParams("target"),
      );
    });

    it("can't be swapped for a link to somebody else's", async () => {
      await using scene = await stage();
      const victim = scene.folder_("victim", 0);
      const parent = scene.folder_("parent");
      const target = `${parent}/target`;
      // Renamed to and fro: what is there changes at once, and stays for times of which some are long enough to mount.
      scene.folder_("parent/folder");
      symlinkSync(victim, `${parent}/link`);
      const swapping = `
        const { lstatSync, renameSync } = require("node:fs");
        const nobody = new Int32Array(new SharedArrayBuffer(4));
        // It can't be renamed while something is mounted on it.
        const tryTo = (step) => { try { step(); } catch {} };
        const put = (name, milliseconds) => {
          tryTo(() => renameSync(name, "target"));
          Atomics.wait(nobody, 0, 0, milliseconds);
          tryTo(() => renameSync("target", lstatSync("target").isSymbolicLink() ? "link" : "folder"));
        };
        for (let turn = 0; ; turn++) {
          put("folder", turn % 10);
          put("link", turn % 3);
        }`;
      const swapper = spawn(process.execPath, ["-e", swapping], { cwd: parent, stdio: "ignore" });
      try {
        let [mounted, refused] = [0, 0];
        for (let race = 0; race < RACES; race++) {
          const mount = await mountIt(scene.helper, { ...meant(scene.device), target }).catch(() => undefined);
          assert.deepEqual(mountsAt(victim), []);
          // Where the folder was moved at the last moment, or just then, it's mounted there.
          const here = readMounts().filter((entry) => deviceUnder(entry) === scene.device.devnum);
          assert.equal(here.length, mount ? 1 : 0);
          assert.ok(here.every(({ target }) => dirname(target) === parent));
          if (mount) {
            mounted++;
            await scene.helper.request("mount/unmount", meant(scene.device));
          } else {
            refused++;
          }
        }
        assert.ok(mounted > 0 && refused > 0, `mounted ${mounted} times, refused ${refused} times: no race at all`);
      } finally {
        await leave(swapper);
        for (const { target: left } of readMounts().filter(({ target }) => target.startsWith(`${parent}/`))) {
          run("umount", ["--lazy", left]);
        }
      }
    });

    it("isn't taken for another mount where a folder above it becomes a link before it is unmounted", async () => {
      await using scene = await stage();
      const above = scene.folder_("above");
      mkdirSync(`${above}/target`);
      chownSync(`${above}/target`, NOBODY, NOBODY);
      await mountIt(scene.helper, { ...meant(scene.device), target: `${above}/target` });
      const elsewhere = scene.folder_("elsewhere", 0);
      mkdirSync(`${elsewhere}/target`);
      run("mount", ["-t", "tmpfs", "none", `${elsewhere}/target`]);
      // A folder with a mount in it can be moved; what shows at the old path then is another mount.
      run("mv", [above, scene.workshop.path("moved")]);
      symlinkSync(elsewhere, above);
      await scene.helper.request("mount/unmount", meant(scene.device));
      assert.equal(mountsAt(`${elsewhere}/target`).length, 1);
      assert.deepEqual(mountsAt(`${scene.workshop.path("moved")}/target`), []);
    });
  });

  describe("a read-only device", () => {
    it("is mounted for reading only, and for nothing else", async () => {
      await using scene = await sceneOfUser();
      const device = await attached(scene.helper, { path: image(scene, "ext4"), readOnly: true });
      await assert.rejects(
        scene.helper.request("mount/mount", { ...meant(device), readOnly: false }),
        problem("notPermitted", { says: /read-only/ }),
      );
      const { mount, journalSkipped } = await scene.helper.request("mount/mount", meant(device));
      assert.deepEqual([mount.readOnly, journalSkipped], [true, false]);
      assert.throws(() => writeFileSync(`${mount.target}/x`, ""), { code: "EROFS" });
      await scene.helper.request("mount/unmount", meant(device));
    });

    for (const [type, option] of [
      ["ext4", "norecovery"],
      ["xfs", "norecovery"],
    ] as const) {
      it(`with a journal of ${type} that wasn't written back is mounted without it, and so it is said`, async () => {
        await using scene = await sceneOfUser();
        const path = image(scene, type);
        const target = scene.mount(path, "dirty", "-o", "loop");
        writeFileSync(`${target}/file`, "content");
        run("sync", ["-f", target]);
        const copy = scene.workshop.path("copy");
        run("cp", ["--sparse=always", path, copy]);
        run("umount", [target]);
        chownSync(copy, NOBODY, NOBODY);

        const readOnly = await attached(scene.helper, { path: copy, readOnly: true });
        const { mount, journalSkipped } = await scene.helper.request("mount/mount", meant(readOnly));
        assert.equal(journalSkipped, true);
        assert.ok(mount.options.includes(option), `${mount.options}`);
        await scene.helper.request("mount/unmount", meant(readOnly));
        await scene.helper.request("loop/detach", meant(readOnly));

        const writable = await attached(scene.helper, { path: copy });
        const after = await scene.helper.request("mount/mount", { ...meant(writable), readOnly: true });
        assert.deepEqual([after.mount.readOnly, after.journalSkipped], [true, false]);
        assert.ok(!after.mount.options.includes(option));
        await scene.helper.request("mount/unmount", meant(writable));
      });
    }

    it("leaves a writable one read-only where that is wished", async () => {
      await using scene = await sceneOfUser();
      const device = await attached(scene.helper, { path: image(scene, "ext4") });
      assert.equal((await mountIt(scene.helper, { ...meant(device), readOnly: true })).readOnly, true);
      await scene.helper.request("mount/unmount", meant(device));
    });
  });

  describe("what can't be mounted", () => {
    it("is told apart: empty, partitioned, encrypted, swap, another type", async () => {
      await using scene = await sceneOfUser();
      const refuses = async (path: string, says: RegExp, more: Partial<Params<"mount/mount">> = {}) => {
        chownSync(path, NOBODY, NOBODY);
        const device = await attached(scene.helper, { path });
        await assert.rejects(
          scene.helper.request("mount/mount", { ...meant(device), ...more }),
          problem("invalid", { says, device: device.device }),
        );
      };
      await refuses(scene.workshop.blank("blank", MiB), /empty/);
      await refuses(twoPartitions(scene), /partitions/);
      await refuses(image(scene, "luks"), /encrypted/);
      await refuses(image(scene, "swap"), /swap/);
      await refuses(image(scene, "ext4"), /there is ext4 on it/, { fileSystem: "xfs" });
      assert.deepEqual(readdirSync(MEDIA).includes("nobody") ? readdirSync(`${MEDIA}/nobody`) : [], []);
    });

    const known = readFileSync("/proc/filesystems", "utf8").split("\n");
    if (process.env.DISKLOOM_GUEST === undefined && !known.includes("\tvfat")) {
      it("names the module that this kernel lacks", async () => {
        await using scene = await sceneOfUser();
        const device = await attached(scene.helper, { path: image(scene, "vfat") });
        await assert.rejects(
          scene.helper.request("mount/mount", meant(device)),
          problem("unsupported", { says: /no vfat.*module.*vfat/ }),
        );
        assert.ok(!existsSync(`${MEDIA}/nobody/BOOT`));
      });
    }

    it("says what a damaged file system says, and leaves no folder", async () => {
      await using scene = await sceneOfUser();
      const path = image(scene, "ext4");
      const bytes = readFileSync(path);
      // s_feature_incompat with a bit that nobody knows.
      bytes.writeUInt32LE(bytes.readUInt32LE(1024 + 0x60) | 0x40000000, 1024 + 0x60);
      writeFileSync(path, bytes);
      const device = await attached(scene.helper, { path });
      if (device.content.type === "ext4") {
        await assert.rejects(scene.helper.request("mount/mount", meant(device)), problem("kernel", { says: /ext4/ }));
      }
      assert.ok(!existsSync(`${MEDIA}/nobody/Ext Label`));
    });

    it("is what has been detached since, and a partition that isn't there", async () => {
      await using scene = await sceneOfUser();
      const device = await attached(scene.helper, { path: image(scene, "ext4") });
      const diskSequence = (device.diskSequence ?? 0) + 1000;
      const stale = { device: device.device, diskSequence };
      await assert.rejects(scene.helper.request("mount/mount", stale), problem("stale"));
      const missing = { ...meant(device), device: `${device.device}p7` };
      await assert.rejects(scene.helper.request("mount/mount", missing), problem("notFound"));
      await assert.rejects(scene.helper.request("mount/unmount", meant(device)), problem("notFound"));
      await assert.rejects(scene.helper.request("mount/unmount", { target: "/" }), problem("notFound"));
      await assert.rejects(scene.helper.request("mount/unmount", {}), badParams(""));
    });
  });

  describe("devices and mounts of others", () => {
    it("are left alone unless that is confirmed", async () => {
      await using scene = await sceneOfUser();
      const root = await scene.helperWith();
      const device = await attached(root, { path: image(scene, "ext4") });
      const refused = problem("notPermitted", { foreign: true });
      await assert.rejects(scene.helper.request("mount/mount", meant(device)), refused);
      const byRoot = await mountIt(root, meant(device));
      await assert.rejects(scene.helper.request("mount/unmount", meant(device)), refused);
      await assert.rejects(scene.helper.request("mount/unmount", { target: byRoot.target }), refused);
      const own = await mountIt(scene.helper, { ...meant(device), confirmForeign: true });
      assert.ok(own.options.includes("nosuid"));
      await scene.helper.request("mount/unmount", meant(device));
      assert.deepEqual([mountsAt(own.target).length, mountsAt(byRoot.target).length], [0, 1]);
      await scene.helper.request("mount/unmount", { ...meant(device), confirmForeign: true });
      assert.deepEqual(mountsAt(byRoot.target), []);
      // The folder was made for root, whose book it is in.
      await assert.rejects(root.request("mount/unmount", meant(device)), problem("notFound"));
      assert.ok(!existsSync(byRoot.target));
    });

    it("are known across helpers", async () => {
      await using scene = await sceneOfUser();
      const device = await attached(scene.helper, { path: image(scene, "ext4") });
      const { target } = await mountIt(scene.helper, meant(device));
      await scene.helper.kill();
      const next = await scene.helperWith({ environment: { ...process.env, SUDO_UID: `${NOBODY}` } });
      await next.request("mount/unmount", { target });
      assert.ok(!existsSync(target));
    });

    it("don't keep a folder from going that somebody unmounted by hand", async () => {
      await using scene = await sceneOfUser();
      const device = await attached(scene.helper, { path: image(scene, "ext4") });
      const { target } = await mountIt(scene.helper, meant(device));
      run("umount", [target]);
      assert.ok(existsSync(target));
      await scene.helper.request("loop/detach", meant(device));
      assert.ok(!existsSync(target));
    });
  });

  describe("unmounting", () => {
    it("names who uses it, and can be lazy", async () => {
      await using scene = await sceneOfUser();
      const device = await attached(scene.helper, { path: image(scene, "ext4") });
      const { target } = await mountIt(scene.helper, meant(device));
      letUdevLook();
      const user = await standIn(target);
      try {
        const pid = user.pid ?? 0;
        await assert.rejects(
          scene.helper.request("mount/unmount", meant(device)),
          problem("busy", { users: [{ kind: "process", pid, command: "sleep" }], says: /sleep \(process \d+\)/ }),
        );
        assert.equal(mountsAt(target).length, 1);
        await scene.helper.request("mount/unmount", { ...meant(device), lazy: true });
        assert.ok(!existsSync(target));
      } finally {
        await leave(user);
      }
    });

    it("of a disk is all of it or nothing", async () => {
      await using scene = await sceneOfUser();
      const device = await attached(scene.helper, { path: twoPartitions(scene) });
      const targets: string[] = [];
      for (const { device: part } of device.partitions) {
        targets.push((await mountIt(scene.helper, { ...meant(device), device: part })).target);
      }
      const user = await standIn(targets[0] ?? "");
      try {
        await assert.rejects(scene.helper.request("mount/unmount", meant(device)), problem("busy"));
        assert.deepEqual(
          targets.map((target) => mountsAt(target).length),
          [1, 1],
        );
      } finally {
        await leave(user);
      }
      await scene.helper.request("mount/unmount", meant(device));
      assert.deepEqual(targets.map(existsSync), [false, false]);
    });

    it("is done by detaching too, folders and all", async () => {
      await using scene = await sceneOfUser();
      const device = await attached(scene.helper, { path: image(scene, "ext4") });
      const { target } = await mountIt(scene.helper, meant(device));
      await scene.helper.request("loop/detach", { ...meant(device), whenBusy: "unmount" });
      assert.ok(!existsSync(target));
    });

    it("is told as a change", async () => {
      await using scene = await sceneOfUser();
      const device = await attached(scene.helper, { path: image(scene, "ext4") });
      await mountIt(scene.helper, meant(device));
      const { changes } = scene.helper;
      run("umount", [`${MEDIA}/nobody/Ext Label`]);
      await until(() => scene.helper.changes > changes, "a change is told");
    });
  });

  describe("id-mapped", () => {
    it("shows files of root as the caller's, and writes the caller's as root's", async () => {
      await using scene = await sceneOfUser();
      const path = image(scene, "ext4");
      const prepared = scene.mount(path, "prepared", "-o", "loop");
      writeFileSync(`${prepared}/of-root`, "");
      writeFileSync(`${prepared}/of-other`, "");
      chownSync(`${prepared}/of-other`, 1234, 1234);
      run("umount", [prepared]);
      const device = await attached(scene.helper, { path });
      const { target } = await mountIt(scene.helper, { ...meant(device), idMap: true });
      assert.equal(lstatSync(`${target}/of-root`).uid, NOBODY);
      assert.equal(lstatSync(`${target}/of-other`).uid, 1234);
      assert.equal(spawnSync("setpriv", [...asNobody, "touch", `${target}/new`]).status, 0);
      await scene.helper.request("mount/unmount", meant(device));
      const again = scene.mount(device.device, "again");
      assert.equal(lstatSync(`${again}/new`).uid, 0);
      run("umount", [again]);
    });

    it("is refused for root, and where the file system can't", async () => {
      await using scene = await Scene.set();
      const device = await attached(scene.helper, { path: image(scene, "ext4") });
      await assert.rejects(
        scene.helper.request("mount/mount", { ...meant(device), idMap: true }),
        problem("invalid", { says: /root/ }),
      );
    });
  });

  it("works as kernels before Linux 5.2 do it", async () => {
    await using scene = await Scene.set();
    const device = await attached(scene.helper, { path: image(scene, "ext4") });
    const path = scene.workshop.path("old");
    mkdirSync(path);
    {
      using folder = openFile(path, O_RDONLY);
      const flags = ["ro", "nosuid"] as const;
      await mountOnto(folder, { source: device.device, fileSystem: "ext4", flags, options: ["errors=continue"] });
    }
    const [mount] = mountsAt(path);
    assert.ok(mount);
    assert.ok(mount.options.includes("ro") && mount.options.includes("nosuid"));
    assert.ok(mount.superOptions.includes("errors=continue") || mount.superOptions.includes("ro"));
    await unmount(path);
    rmSync(path, { recursive: true });
  });
});
