/*
 * What is said of attached devices, beside what lsblk, blkid and sfdisk say of the same: on this kernel, and on one with
 * parsers for partitions and with udev in the guest.
 */
import assert from "node:assert/strict";
import { closeSync, existsSync, mkdirSync, openSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { describe, it } from "node:test";
import type { Content, LoopDevice, Partition } from "../../helper/protocol";
import type { TestHelper } from "../helper";
import { blkid, type FileSystem, KiB, MiB, run, sfdisk } from "../images";
import { attached, letUdevLook, problem, Scene } from "./scene";

/** As lsblk writes it; null where it has nothing to say. */
interface Row {
  path: string;
  size: number;
  type: string;
  fstype: string | null;
  label: string | null;
  uuid: string | null;
  pttype: string | null;
}

// What lsblk says of contents it has from udev, which a machine like a container's host hasn't got.
const hasUdev = process.env.DISKLOOM_GUEST !== undefined;

/** The device, then its partitions. */
function lsblk(device: string): Row[] {
  letUdevLook();
  const columns = "PATH,SIZE,TYPE,FSTYPE,LABEL,UUID,PTTYPE"; // without NAME it is a list, no tree
  const rows: Row[] = JSON.parse(run("lsblk", ["--json", "--bytes", "--output", columns, device])).blockdevices;
  return rows.sort((a, b) => a.path.localeCompare(b.path, "en", { numeric: true }));
}

function contentByLsblk({ fstype, label, uuid, pttype }: Row) {
  return fstype ? { type: fstype, label: label?.trimEnd() ?? "", uuid: uuid ?? "" } : { type: pttype ?? "" };
}

function contentByUs({ content: { kind, type, label, uuid } }: { content: Content }) {
  return kind === "partitionTable" || type === "" ? { type } : { type, label, uuid };
}

function assertLikeLsblk(device: LoopDevice): void {
  const rows = lsblk(device.device);
  assert.deepEqual(
    rows.map(({ path, size, type }) => ({ path, size, type })),
    [
      { path: device.device, size: device.size, type: "loop" },
      ...device.partitions.map(({ device: path, size }) => ({ path, size, type: "part" })),
    ],
  );
  const [row, ...children] = rows;
  if (hasUdev && row) {
    assert.deepEqual(contentByLsblk(row), contentByUs(device));
    const withContent = children.filter(({ fstype }) => fstype);
    assert.deepEqual(
      withContent.map((child) => ({ path: child.path, ...contentByLsblk(child) })),
      device.partitions
        .filter(({ content: { kind, type } }) => kind !== "partitionTable" && type !== "")
        .map((partition) => ({ path: partition.device, ...contentByUs(partition) })),
    );
  }
}

/** With blkid, which reads what is there itself. */
function assertLikeBlkid({ device, content }: Pick<Partition, "device" | "content">): void {
  const said = blkid(device);
  assert.equal(content.kind === "partitionTable" ? said?.PTTYPE : (said?.TYPE ?? ""), content.type, device);
  assert.equal(content.kind === "partitionTable" ? said?.PTUUID : (said?.UUID ?? ""), content.uuid, device);
}

interface JsonPartition {
  node: string;
  start: number;
  size: number;
  type: string;
  uuid?: string;
  name?: string;
}

/** With `sfdisk --json` on the device itself, whose sectors it then knows. */
function assertLikeSfdisk({ device, partitions, sectorSize }: LoopDevice): void {
  const { partitiontable: table } = JSON.parse(run("sfdisk", ["--json", device]));
  const theirs: JsonPartition[] = table.partitions;
  const isExtended = (type: string) => ["5", "f", "0x5", "0xf"].includes(type);
  assert.deepEqual(
    partitions.map(({ device: node, start, size, type, uuid, name }) => ({
      node,
      start,
      size: isExtended(type) ? 0 : size,
      type: type.replace(/^0x/, "").toUpperCase(),
      ...(table.label === "gpt" ? { uuid: uuid.toUpperCase(), name } : {}),
    })),
    theirs.map(({ node, start, size, type, uuid, name }) => ({
      node,
      start: start * sectorSize,
      size: isExtended(type) ? 0 : size * sectorSize,
      type: type.toUpperCase(),
      ...(table.label === "gpt" ? { uuid: uuid?.toUpperCase(), name: name ?? "" } : {}),
    })),
  );
}

/** A disk with file systems in its partitions, in order; "" for none. */
function disk(scene: Scene, script: string, types: (FileSystem | "")[], sectorSize = 512, size = 64 * MiB): string {
  const path = scene.workshop.disk("disk.img", size, script, sectorSize);
  const { partitions } = sfdisk(path, sectorSize);
  for (const [index, type] of types.entries()) {
    if (type) {
      scene.workshop.put(path, partitions[index]?.start ?? 0, scene.workshop.fileSystem(type, `${index}`));
    }
  }
  return path;
}

/** Larger than a floppy disk: of a small one with partitions, blkid and udev say no file system. */
function hybridIso({ workshop }: Scene): string {
  mkdirSync(workshop.path("tree"));
  writeFileSync(workshop.path("tree/more"), Buffer.alloc(2 * MiB));
  return workshop.fileSystem("iso");
}

const disks: [string, (scene: Scene) => string, number][] = [
  [
    "GPT with ext4, xfs, btrfs and vfat",
    (scene) =>
      disk(
        scene,
        "label: gpt\nsize=8M, name=one\nsize=301M, name=two\nsize=111M\nsize=8M, type=U\n",
        ["ext4", "xfs", "btrfs", "vfat"],
        512,
        440 * MiB,
      ),
    4,
  ],
  [
    "MBR with primary and logical partitions",
    (scene) =>
      disk(scene, "label: dos\n,8M,c,*\n,8M\n,8M,82\n,,E\n,8M\n,8M\n", ["vfat", "ext4", "swap", "", "", "ext4"]),
    6,
  ],
  ["GPT of 4096-byte sectors", (scene) => disk(scene, "label: gpt\n,8M\n,8M\n", ["", "ext4"], 4096), 2],
  ["128 partitions", (scene) => disk(scene, `label: gpt\n${",1M\n".repeat(128)}`, [], 512, 140 * MiB), 128],
  ["a hybrid ISO", (scene) => hybridIso(scene), 2],
];

describe("attached disks, as lsblk, blkid and sfdisk see them", { concurrency: false }, () => {
  for (const [name, make, count] of disks) {
    it(name, async () => {
      await using scene = await Scene.set();
      const device = await attached(scene.helper, { path: make(scene) });
      assert.equal(device.partitions.length, count);
      assertLikeSfdisk(device);
      assertLikeLsblk(device);
      // One after the other, blkid takes its time for 128.
      for (const part of [device, ...device.partitions.slice(0, 8)]) {
        if (!["0x5", "0xf"].includes("type" in part ? part.type : "")) {
          assertLikeBlkid(part);
        }
      }
      assert.deepEqual(await listed(scene.helper, device), device);
    });
  }

  for (const type of ["squashfs", "erofs", "luks", "swap"] as const) {
    it(type, async () => {
      await using scene = await Scene.set();
      const device = await attached(scene.helper, { path: scene.workshop.fileSystem(type) });
      assertLikeLsblk(device);
      assertLikeBlkid(device);
    });
  }
});

async function listed(helper: TestHelper, { device }: { device: string }): Promise<LoopDevice> {
  const { devices } = await helper.request("devices/list", {});
  const found = devices.find((candidate) => candidate.device === device);
  assert.ok(found?.kind === "loop");
  return found;
}

function overwrite(path: string, offset: number, bytes: Uint8Array): void {
  const fd = openSync(path, "r+");
  writeSync(fd, bytes, 0, bytes.length, offset);
  closeSync(fd);
}

describe("what is wrong with an attached disk", { concurrency: false }, () => {
  const size = 32 * MiB;
  const gpt = "label: gpt\nsize=8M, name=one\nsize=8M, name=two\n";
  const mbr = "label: dos\n,8M\n,8M\n,8M\n";
  const faults: [string, string, (path: string) => void, Pick<LoopDevice, "damaged" | "tableSize">, number][] = [
    ["a sound one", gpt, () => {}, {}, 2],
    ["the first copy of its GPT", gpt, (path) => overwrite(path, 512, Buffer.alloc(KiB)), { damaged: "primary" }, 2],
    ["the backup", gpt, (path) => overwrite(path, size - 512, Buffer.alloc(512)), { damaged: "backup" }, 2],
    [
      "a backup that was cut off",
      gpt,
      (path) => truncateSync(path, size - 8 * KiB),
      { damaged: "backup", tableSize: size },
      2,
    ],
    ["a GPT for a larger disk", gpt, (path) => truncateSync(path, size / 2), { damaged: "both", tableSize: size }, 0],
    ["an MBR for a larger disk", mbr, (path) => truncateSync(path, 12 * MiB), { tableSize: 25 * MiB }, 2],
  ];
  for (const [name, script, deed, expected, count] of faults) {
    it(`${name}: said of the device as of the image`, async () => {
      await using scene = await Scene.set();
      const path = scene.workshop.disk("faulty.img", size, script);
      deed(path);
      const device = await attached(scene.helper, { path });
      const inspected = await scene.helper.request("image/inspect", { path });
      for (const { damaged, tableSize } of [device, await listed(scene.helper, device), inspected]) {
        assert.deepEqual({ damaged, tableSize }, { damaged: undefined, tableSize: undefined, ...expected });
      }
      assert.equal(device.partitions.length, count);
    });
  }

  it("a file system that was cut short: said, and why it can't be mounted", async () => {
    await using scene = await Scene.set();
    for (const type of ["ext4", "xfs"] as const) {
      const path = scene.workshop.fileSystem(type, `cut-${type}`);
      const whole = await scene.helper.request("image/inspect", { path });
      truncateSync(path, whole.size - MiB);
      const device = await attached(scene.helper, { path });
      assert.equal(device.content.fullSize, whole.size);
      await assert.rejects(
        scene.helper.request("mount/mount", { device: device.device }),
        problem("kernel", { says: new RegExp(`cut short: it has ${whole.size} bytes by its own word`) }),
      );
    }
  });
});

describe("image/inspect", { concurrency: false }, () => {
  it("needs no root, and reads no more than the caller may", async () => {
    await using scene = await Scene.set();
    run("chmod", ["755", scene.folder]);
    const path = disk(scene, "label: gpt\n,8M\n,8M\n", ["ext4", "vfat"]);
    const asNobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--"];
    const helper = await scene.helperWith({ command: asNobody });
    assert.equal((await helper.request("helper/info", {})).privileged, false);
    const inspected = await helper.request("image/inspect", { path });
    assert.deepEqual(
      inspected.partitions.map(({ content }) => content.type),
      ["ext4", "vfat"],
    );
    assert.deepEqual(inspected, await scene.helper.request("image/inspect", { path }));
    run("chmod", ["600", path]);
    await assert.rejects(helper.request("image/inspect", { path }), problem("notPermitted"));
    assert.deepEqual(scene.bound(), []);
  });
});

describe("a disk of a ZFS pool", { concurrency: false }, () => {
  // The places of its labels: two at the start, two at the end, in units of 256 KiB.
  const end = 256 + 3;
  for (const [label, order] of [
    [0, "LE"],
    [1, "BE"],
    [end - 2, "LE"],
    [end - 1, "BE"],
  ] as const) {
    it(`is told from one that has only a table, by uberblocks (${order}) in the label at ${label}`, async () => {
      await using scene = await Scene.set();
      const path = scene.workshop.disk("zfs.img", (end * MiB) / 4 + 4096, "label: gpt\nstart=1MiB, size=8M\n");
      const type = async () => (await scene.helper.request("image/inspect", { path })).content.type;
      // Once it has been read, all of it is in memory.
      assert.deepEqual([await type(), await type()], ["gpt", "gpt"]);
      for (let block = 4; block < 8; block++) {
        const uberblock = Buffer.alloc(512);
        uberblock[`writeBigUInt64${order}`](0x00bab10cn);
        overwrite(path, label * 256 * 1024 + 128 * 1024 + block * 1024, uberblock);
      }
      assert.equal(blkid(path)?.TYPE, "zfs_member");
      assert.equal(await type(), "zfs_member");
    });
  }
});

describe("who set a device up", { concurrency: false }, () => {
  it("is told of those that came by Diskloom, and of no others", async () => {
    await using scene = await Scene.set({ environment: { ...process.env, SUDO_UID: "65534", SUDO_GID: "65534" } });
    run("chmod", ["755", scene.folder]);
    const path = scene.workshop.blank("mine.img", MiB);
    run("chown", ["65534", path]);
    const ours = await attached(scene.helper, { path });
    assert.deepEqual(ours.setUpBy, { uid: 65534, name: "nobody" });
    assert.deepEqual((await listed(await scene.helperWith(), ours)).setUpBy, ours.setUpBy);
    const theirs = run("losetup", ["--find", "--show", scene.workshop.blank("theirs.img", MiB)]).trim();
    assert.equal((await listed(scene.helper, { device: theirs })).setUpBy, undefined);
    // The same node for another's attachment, as far as it is the same.
    await scene.helper.request("loop/detach", { device: ours.device });
    run("losetup", [ours.device, path]);
    assert.equal((await listed(scene.helper, ours)).setUpBy, undefined);
  });
});

describe("what is a part of something else is shown, and not opened", { concurrency: false }, () => {
  it("LUKS", async () => {
    await using scene = await Scene.set();
    const device = await attached(scene.helper, { path: scene.workshop.fileSystem("luks") });
    assert.deepEqual([device.content.kind, device.content.type], ["crypto", "crypto_LUKS"]);
    await refusesToMount(scene.helper, device, /it is encrypted \(crypto_LUKS\)\. Open it first \(cryptsetup open\)/);
  });

  it("LVM", async () => {
    await using scene = await Scene.set();
    const path = scene.workshop.blank("lvm.img", 16 * MiB);
    const device = await attached(scene.helper, { path });
    const config = `devices { filter=["a|^${device.device}$|","r|.*|"] use_devicesfile=0 }`;
    run("pvcreate", ["-q", "-y", "-Z", "n", "--config", config, device.device]);
    const found = await listed(scene.helper, device);
    assert.equal(blkid(device.device)?.TYPE, found.content.type);
    assert.deepEqual([found.content.kind, found.content.type], ["raid", "LVM2_member"]);
    const inspected = await scene.helper.request("image/inspect", { path });
    assert.deepEqual(inspected.content, found.content);
    await refusesToMount(scene.helper, device, /a part of an LVM volume group \(LVM2_member\)\. .*vgchange/);
  });
});

async function refusesToMount(helper: TestHelper, { device }: LoopDevice, says: RegExp): Promise<void> {
  await assert.rejects(helper.request("mount/mount", { device }), problem("invalid", { says }));
  assert.ok(existsSync(device));
}
