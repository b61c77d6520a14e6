import assert from "node:assert/strict";
import { test } from "node:test";
import { faultInShort } from "../../extension/devices/faults";
import { deviceProperties, mountProperties, partitionProperties } from "../../extension/devices/propertiesText";
import type { Content, LoopDevice, MapperDevice, Mount, Partition } from "../../helper/protocol";

const MiB = 2 ** 20;
const gpt: Content = { kind: "partitionTable", type: "gpt", label: "", uuid: "29c17b70" };
const root: Mount = {
  target: "/run/media/me/root",
  fileSystem: "ext4",
  options: ["rw", "nosuid"],
  readOnly: false,
  space: { total: 8 * MiB, used: 3 * MiB, available: 4 * MiB },
};
const partition: Partition = {
  device: "/dev/loop3p1",
  number: 1,
  start: MiB,
  size: 9 * MiB,
  type: "0fc63daf",
  uuid: "62fa223d",
  name: "one\ntwo\u202e",
  content: { kind: "filesystem", type: "ext4", label: "root", uuid: "da8b9711" },
  mounts: [root],
  holders: [],
};
const loop: LoopDevice = {
  kind: "loop",
  device: "/dev/loop3",
  number: 3,
  devnum: "7:3",
  diskSequence: 41,
  size: 64 * MiB,
  sectorSize: 512,
  readOnly: true,
  backingFile: "/home/me/disk.img",
  backingInode: 77,
  backingDevnum: "8:1",
  backingFileDeleted: false,
  offset: 0,
  sizeLimit: 0,
  autoclear: false,
  partitionScan: true,
  directIo: false,
  reference: "",
  setUpBy: { uid: 1000, name: "me" },
  content: gpt,
  damaged: "primary",
  partitions: [partition],
  mounts: [],
  holders: ["/dev/mapper/data"],
};

test("a device's properties: a section for each side of it, its partitions and their mounts", () => {
  assert.equal(
    deviceProperties(loop),
    `/dev/loop3

Device
  Device number   7:3
  Disk sequence   41
  Set up by       me (user 1000)

Image
  Image           /home/me/disk.img
  Inode           77 on device 8:1

Geometry
  Size            64 MiB (67,108,864 bytes)
  Sector size     512 bytes

Flags
  Access          read-only
  Direct I/O      off
  Partition scan  on
  Autoclear       off

Content
  Content         gpt (partition table)
  UUID            29c17b70
  Fault           The first copy of the partition table (GPT) is damaged. Its backup, at the end, is used. gdisk and parted can write the first copy anew.

In use
  Used by         /dev/mapper/data

Partition 1 (loop3p1)
  Name            one\ufffdtwo\ufffd
  Type            0fc63daf
  Partition UUID  62fa223d
  Start           1 MiB (1,048,576 bytes)
  Size            9 MiB (9,437,184 bytes)
  Content         ext4
  Label           root
  UUID            da8b9711
  Mounted at      /run/media/me/root

Mounted at /run/media/me/root
  File system     ext4
  Access          read and write
  Size            8 MiB (8,388,608 bytes)
  Used            3 MiB (3,145,728 bytes)
  Available       4 MiB (4,194,304 bytes)
  Options         rw, nosuid
`,
  );
});

test("those of a mapper device, a partition and a mount", () => {
  const mapper: MapperDevice = {
    kind: "mapper",
    device: "/dev/mapper/data",
    node: "/dev/dm-0",
    name: "data",
    uuid: "CRYPT-1",
    devnum: "253:0",
    diskSequence: null,
    size: MiB,
    readOnly: false,
    suspended: true,
    openCount: 2,
    eventNumber: 5,
    hasInactiveTable: true,
    table: [{ startSectors: 0, lengthSectors: 2048, type: "linear", params: "7:3 0" }],
    dependencies: ["7:3"],
    content: { kind: "raid", type: "LVM2_member", label: "", uuid: "u" },
    partitions: [],
    mounts: [],
    holders: [],
  };
  const text = deviceProperties(mapper);
  for (const line of [
    "Node            /dev/dm-0",
    "UUID            CRYPT-1",
    "Set up by       the system or another program",
    "Targets         linear",
    "Inactive table  loaded",
    "Stands on       7:3",
    "State           suspended",
    "Content         LVM2_member (part of a volume or array)",
    "Open            2",
  ]) {
    assert.ok(text.includes(`\n  ${line}\n`), `${line} is not in:\n${text}`);
  }
  assert.ok(!text.includes("Disk sequence"));
  assert.match(
    partitionProperties(partition),
    /^\/dev\/loop3p1\n\nPartition 1\n.*\n\nMounted at \/run\/media\/me\/root\n/s,
  );
  assert.match(mountProperties(root), /^\/run\/media\/me\/root\n\nMount point\n {2}File system {2}ext4\n/);
});

test("what is wrong with it, in a word", () => {
  const cut = { ...loop.content, fullSize: 1 };
  assert.equal(faultInShort(loop), "damaged GPT");
  assert.equal(faultInShort({ ...loop, tableSize: 128 * MiB }), "cut short");
  assert.equal(faultInShort({ size: 0, content: cut }), "cut short");
  assert.equal(faultInShort(partition), "");
});
