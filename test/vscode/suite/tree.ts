/* How devices stand on each other in the tree: made up ones, as this kernel may have no device mapper. */
import assert from "node:assert/strict";

import { DeviceItem, type Item } from "../../../extension/devices/items";
import { buildTree, DeviceTree } from "../../../extension/devices/tree";
import type { Device, LoopDevice, MapperDevice, Partition } from "../../../helper/protocol";
import { extension } from "./extension";

const nothing = { kind: "empty", type: "", label: "", uuid: "" } as const;

function loop(number: number, more: Partial<LoopDevice> = {}): LoopDevice {
  return {
    kind: "loop",
    device: `/dev/loop${number}`,
    number,
    devnum: `7:${number}`,
    diskSequence: number,
    size: 2 ** 20,
    sectorSize: 512,
    readOnly: false,
    backingFile: `/tmp/${number}.img`,
    backingInode: 1,
    backingDevnum: "8:1",
    backingFileDeleted: false,
    offset: 0,
    sizeLimit: 0,
    autoclear: false,
    partitionScan: true,
    directIo: true,
    reference: "",
    content: nothing,
    partitions: [],
    mounts: [],
    holders: [],
    ...more,
  };
}

function mapper(name: string, more: Partial<MapperDevice> = {}): MapperDevice {
  return {
    kind: "mapper",
    device: `/dev/mapper/${name}`,
    node: "/dev/dm-0",
    name,
    uuid: "",
    devnum: "253:0",
    diskSequence: 9,
    size: 2 ** 20,
    readOnly: false,
    suspended: false,
    openCount: 0,
    eventNumber: 0,
    hasInactiveTable: false,
    table: [{ startSectors: 0, lengthSectors: 2048, type: "linear", params: "7:0 0" }],
    dependencies: [],
    content: nothing,
    partitions: [],
    mounts: [],
    holders: [],
    ...more,
  };
}

function partition(number: number, more: Partial<Partition> = {}): Partition {
  return {
    device: `/dev/loop0p${number}`,
    number,
    start: number * 2 ** 20,
    size: 2 ** 20,
    type: "",
    uuid: "",
    name: "",
    content: nothing,
    mounts: [],
    holders: [],
    ...more,
  };
}

/** The labels, each level indented by one more space. */
function outline(items: readonly Item[], indent = ""): string[] {
  return items.flatMap((item) => [`${indent}${item.label}`, ...outline(item.children, `${indent} `)]);
}

function ids(items: readonly Item[]): string[] {
  return items.flatMap((item) => [item.id ?? "", ...ids(item.children)]);
}

/** Those of these commands that the context menu of a device has. */
function offeredFor(device: Device, commands: readonly string[]): string[] {
  const { menus } = extension().packageJSON.contributes;
  const entries: { command: string; when: string; group: string }[] = menus["view/item/context"];
  const context = new DeviceItem(device, []).contextValue ?? "";
  return commands.filter((command) =>
    entries
      .filter((entry) => entry.command === `diskloom.${command}` && !entry.group.startsWith("inline"))
      .some(({ when }) => new RegExp(/=~ \/(.*)\/$/.exec(when)?.[1] ?? "^$").test(context)),
  );
}

describe("The tree", () => {
  it("shows mapper devices under what they stand on, once for each, and those on nothing at the top", () => {
    const mount = { target: "/mnt/data", fileSystem: "ext4", options: [], readOnly: true };
    const tree = buildTree([
      loop(0, { partitions: [partition(1, { holders: ["/dev/mapper/data"] }), partition(2)] }),
      loop(1, { holders: ["/dev/mapper/data"] }),
      mapper("data", { holders: ["/dev/mapper/above"], mounts: [mount] }),
      mapper("above"),
      mapper("zero"),
    ]);
    assert.deepEqual(outline(tree), [
      "loop0",
      " loop0p1",
      "  data",
      "   /mnt/data",
      "   above",
      " loop0p2",
      "loop1",
      " data",
      "  /mnt/data",
      "  above",
      "zero",
    ]);
    assert.equal(new Set(ids(tree)).size, ids(tree).length);
  });

  it("says of a device what matters", () => {
    const [first, second, third] = buildTree([
      loop(0, { readOnly: true, backingFileDeleted: true }),
      mapper("held", { suspended: true, readOnly: true }),
      mapper("plain", { uuid: "U" }),
    ]);
    assert.equal(first?.description, "0.img (deleted) · 1 MiB · read-only");
    assert.equal(second?.description, "linear · 1 MiB · read-only · suspended");
    assert.match(second?.contextValue ?? "", /\bmapper\b.*\bsuspended\b/);
    assert.match(third?.contextValue ?? "", /\bmapper\b.*\bactive\b.*\buuid\b/);
  });

  it("offers just those ways to let go of a device that can work", () => {
    const ways = ["detach", "unmountAndDetach", "detachWhenFree", "keepAttached"];
    const mount = { target: "/mnt/data", fileSystem: "ext4", options: [], readOnly: true };
    for (const [device, offered] of [
      [loop(0), ["detach"]],
      [loop(0, { mounts: [mount] }), ["unmountAndDetach", "detachWhenFree"]],
      [loop(0, { partitions: [partition(1, { mounts: [mount] })] }), ["unmountAndDetach", "detachWhenFree"]],
      [loop(0, { partitions: [partition(1, { holders: ["/dev/mapper/x"] })] }), ["detachWhenFree"]],
      [loop(0, { mounts: [mount], holders: ["/dev/mapper/x"] }), ["detachWhenFree"]],
      [loop(0, { mounts: [mount], autoclear: true }), ["unmountAndDetach", "keepAttached"]],
    ] as const) {
      assert.deepEqual(offeredFor(device, ways), offered, JSON.stringify(device));
    }
    const mapperWays = ["removeMapper", "unmountAndRemove", "removeWhenFree"];
    assert.deepEqual(offeredFor(mapper("free"), mapperWays), ["removeMapper"]);
    assert.deepEqual(offeredFor(mapper("in-use", { mounts: [mount] }), mapperWays), [
      "unmountAndRemove",
      "removeWhenFree",
    ]);
    assert.deepEqual(offeredFor(mapper("under", { holders: ["/dev/dm-9"] }), mapperWays), ["removeWhenFree"]);
  });

  it("doesn't go round in circles where a list was taken while things moved", () => {
    const tree = buildTree([loop(0, { holders: ["/dev/mapper/a"] }), mapper("a", { holders: ["/dev/mapper/a"] })]);
    assert.deepEqual(outline(tree), ["loop0", " a"]);
  });

  it("makes anew only what has changed, and draws the same items again", () => {
    const tree = new DeviceTree();
    const [plain, holding, data] = [loop(0), loop(1, { holders: ["/dev/mapper/data"] }), mapper("data")];
    assert.equal(tree.update([plain, holding, data]), undefined, "the first devices are drawn as they come");
    const [first, second] = tree.items;
    assert.deepEqual(tree.update([plain, holding, data]), []);

    const mount = { target: "/mnt/plain", fileSystem: "ext4", options: [], readOnly: false };
    const changed = tree.update([loop(0, { mounts: [mount] }), holding, data]);
    assert.equal(changed?.length, 1);
    assert.equal(changed[0], first);
    assert.match(first?.contextValue ?? "", /\bmounted\b/);
    assert.deepEqual(outline(tree.items), ["loop0", " /mnt/plain", "loop1", " data"]);

    const suspended = tree.update([plain, holding, mapper("data", { suspended: true })]);
    assert.deepEqual(suspended, [first, second], "what stands on a device is drawn with it");
    const [held] = second?.children ?? [];
    assert.match(held?.contextValue ?? "", /\bsuspended\b/);

    assert.equal(tree.update([plain, loop(2)]), undefined, "others are at the top now");
    assert.equal(tree.items[0], first);
    assert.deepEqual(outline(tree.items), ["loop0", "loop2"]);
  });
});
