import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as v from "valibot";
import { findSegment, type Inspected, layoutOfDevice, layoutOfImage } from "../../extension/views/layout";
import { Picture, type Segment, Target, ToHost } from "../../extension/views/messages";
import { details, flattened, nameOf, spoken } from "../../extension/views/page/words";
import { freeSpace } from "../../extension/views/space";
import { widths } from "../../extension/views/widths";
import type { Content, Device, LoopDevice, MapperDevice, Partition } from "../../helper/protocol";

const MiB = 2 ** 20;
const GiB = 2 ** 30;
const no: Content = { kind: "empty", type: "", label: "", uuid: "" };
const gpt: Content = { kind: "partitionTable", type: "gpt", label: "", uuid: "" };
const mbr: Content = { ...gpt, type: "dos" };
const fs = (type: string, label = ""): Content => ({ kind: "filesystem", type, label, uuid: "" });

function partition(number: number, start: number, size: number, more: Partial<Partition> = {}): Partition {
  const none = { device: "", type: "", uuid: "", name: "", content: no, mounts: [], holders: [] };
  return { ...none, number, start, size, ...more };
}

function image(size: number, content: Content, partitions: Partition[] = []): Inspected {
  return { size, content, partitions };
}

function loop(more: Partial<LoopDevice>): LoopDevice {
  const numbers = { number: 3, diskSequence: 9, size: GiB, sectorSize: 512, backingInode: 1, offset: 0, sizeLimit: 0 };
  const flags = { readOnly: false, autoclear: false, partitionScan: true, directIo: true, backingFileDeleted: false };
  const names = { device: "/dev/loop3", devnum: "7:3", backingFile: "/a.img", backingDevnum: "8:1", reference: "" };
  const lists = { content: no, partitions: [], mounts: [], holders: [] };
  return { kind: "loop", ...numbers, ...flags, ...names, ...lists, ...more };
}

function mapper(name: string, more: Partial<MapperDevice>): MapperDevice {
  const names = { device: `/dev/mapper/${name}`, node: "/dev/dm-0", name, uuid: "", devnum: "253:0" };
  const numbers = { diskSequence: 10, size: GiB, openCount: 0, eventNumber: 0 };
  const flags = { readOnly: false, suspended: false, hasInactiveTable: false };
  const lists = { table: [], dependencies: [], content: no, partitions: [], mounts: [], holders: [] };
  return { kind: "mapper", ...names, ...numbers, ...flags, ...lists, ...more };
}

/** The picture in short: "root(ext)[…]". */
function sketch(segments: readonly Segment[]): string {
  const one = ({ kind, number, title, family, children }: Segment) =>
    (kind === "partition" ? `${number}:${family}` : kind === "holder" ? `${title}:${family}` : kind) +
    (children.length > 0 ? `[${sketch(children)}]` : "");
  return segments.map(one).join(" ");
}

const ofDevice = (device: Device, others: Device[] = []) => layoutOfDevice(device, [device, ...others], () => []);
const ofImage = (inspected: Inspected) => layoutOfImage(inspected, "disk.img");

describe("widths", () => {
  const sum = (numbers: number[]) => numbers.reduce((total, number) => total + number, 0);

  test("are in proportion where there is room", () => {
    const parts = [1, 2, 5].map((size) => ({ size, least: 1 }));
    assert.deepEqual(widths(parts), [12.5, 25, 62.5]);
  });

  test("none is less than its least width; the others stay in proportion", () => {
    const got = widths([1, 1000, 1, 3000].map((size) => ({ size, least: 5 })));
    assert.deepEqual(got, [5, 22.5, 5, 67.5]);
  });

  test("one that is widened may make the next too narrow", () => {
    const got = widths([0, 11, 89].map((size) => ({ size, least: 10.5 })));
    assert.deepEqual(got, [10.5, 10.5, 79]);
  });

  test("sum up to 100 %, in the same order, whatever comes", () => {
    let seed = 1;
    const random = () => {
      seed = (seed * 48271) % 2147483647;
      return seed / 2147483647;
    };
    for (let round = 0; round < 500; round++) {
      const count = 1 + Math.floor(random() * 140);
      const least = random() * (100 / count);
      const parts = Array.from({ length: count }, () => ({ size: Math.floor(2 ** (random() * 45)), least }));
      const got = widths(parts);
      assert.ok(Math.abs(sum(got) - 100) < 1e-6);
      assert.ok(got.every((width) => width >= least - 1e-9));
      const bySize = parts.map((part, index) => ({ ...part, width: got[index] ?? 0 })).sort((a, b) => a.size - b.size);
      assert.ok(bySize.every(({ width }, index) => width >= (bySize[index - 1]?.width ?? 0) - 1e-9));
    }
  });

  test("more than fit are cut alike, nothing is divided by zero", () => {
    assert.deepEqual(widths([9, 1].map((size) => ({ size, least: 80 }))), [50, 50]);
    assert.deepEqual(widths([0, 0].map((size) => ({ size, least: 1 }))), [50, 50]);
    assert.deepEqual(widths([]), []);
  });
});

describe("free space", () => {
  const disk = { start: 0, size: 100 * MiB, disk: 100 * MiB, tables: false };

  test("is what lies between, from 1 MiB on", () => {
    const partitions = [
      { start: MiB, size: 9 * MiB },
      { start: 10 * MiB + 512 * 1024, size: 10 * MiB },
      { start: 30 * MiB, size: 69 * MiB },
    ];
    assert.deepEqual(freeSpace(partitions, disk), [{ start: 20.5 * MiB, size: 9.5 * MiB }]);
  });

  test("doesn't count what partition tables take", () => {
    assert.deepEqual(freeSpace([{ start: MiB, size: 98 * MiB }], disk), []);
    const logical = [
      { start: 11 * MiB, size: 9 * MiB },
      { start: 21 * MiB, size: 9 * MiB },
    ];
    assert.deepEqual(freeSpace(logical, { start: 10 * MiB, size: 20 * MiB, disk: 100 * MiB, tables: true }), []);
  });

  test("is seen on a small disk, however little", () => {
    const small = { start: 0, size: 2 * MiB, disk: 2 * MiB, tables: false };
    assert.deepEqual(freeSpace([{ start: 512 * 1024, size: 1.5 * MiB }], small), [{ start: 0, size: 512 * 1024 }]);
  });

  test("partitions that overlap or reach past the end hide none and make none", () => {
    const partitions = [
      { start: MiB, size: 60 * MiB },
      { start: 10 * MiB, size: 10 * MiB },
      { start: 80 * MiB, size: 500 * MiB },
      { start: 700 * MiB, size: MiB },
    ];
    assert.deepEqual(freeSpace(partitions, disk), [{ start: 61 * MiB, size: 19 * MiB }]);
  });
});

describe("layout of an image", () => {
  test("a GPT with gaps", () => {
    const { segments, notices } = ofImage(
      image(100 * MiB, gpt, [
        partition(2, 40 * MiB, 20 * MiB, { content: fs("ext4", "root") }),
        partition(1, MiB, 29 * MiB, { content: fs("vfat"), name: "EFI" }),
      ]),
    );
    assert.equal(sketch(segments), "1:fat free 2:ext free");
    assert.deepEqual(notices, []);
    assert.deepEqual(segments.map(nameOf), ["EFI", "Free space", "root", "Free space"]);
  });

  test("logical partitions within the extended one", () => {
    const { segments } = ofImage(
      image(200 * MiB, mbr, [
        partition(1, MiB, 49 * MiB, { type: "0x83", content: fs("xfs") }),
        partition(2, 50 * MiB, 150 * MiB, { type: "0x5" }),
        partition(5, 51 * MiB, 49 * MiB, { type: "0x82", content: { ...no, kind: "other", type: "swap" } }),
        partition(6, 101 * MiB, 50 * MiB, { type: "0x83", content: fs("ntfs") }),
      ]),
    );
    assert.equal(sketch(segments), "1:xfs 2:extended[5:swap 6:ntfs free]");
    assert.equal(segments[1]?.content, "Extended");
    assert.deepEqual(segments[1]?.oddities, []);
  });

  test("no partition table: one bar", () => {
    const cases: [Content, string, string][] = [
      [fs("squashfs"), "packed", "squashfs"],
      [fs("btrfs"), "btrfs", "btrfs"],
      [fs("minix"), "other", "minix"],
      [{ ...no, kind: "crypto", type: "crypto_LUKS" }, "crypto", "crypto_LUKS"],
      [{ ...no, kind: "raid", type: "LVM2_member" }, "volume", "LVM2_member"],
      [{ ...no, kind: "other" }, "other", "Unknown"],
      [{ ...no, kind: "other", type: "ambivalent" }, "other", "Several signatures"],
      [no, "empty", "Empty"],
    ];
    for (const [content, family, text] of cases) {
      const { segments } = ofImage(image(GiB, content));
      assert.equal(segments.length, 1);
      assert.equal(segments[0]?.family, family);
      assert.equal(segments[0]?.content, text);
      assert.equal(segments[0]?.size, GiB);
    }
  });

  test("an empty file has no bar but a word", () => {
    const { segments, notices } = ofImage(image(0, no));
    assert.deepEqual(segments, []);
    assert.match(notices[0]?.text ?? "", /0 bytes/);
  });

  test("a table without partitions is free space", () => {
    assert.equal(sketch(ofImage(image(GiB, gpt)).segments), "free");
  });

  test("a hybrid ISO is a file system with partitions in it", () => {
    const parts = [
      partition(1, 0, 90 * MiB, { type: "0xcd" }),
      partition(2, 90 * MiB, 4 * MiB, { content: fs("vfat") }),
    ];
    const { segments } = ofImage(image(100 * MiB, fs("iso9660", "HYBRID"), parts));
    assert.equal(sketch(segments), "device[1:empty 2:fat rest]");
  });

  test("damaged copies of a GPT are said", () => {
    const parts = [partition(1, MiB, 90 * MiB)];
    for (const [damaged, words] of [
      ["primary", /first copy .* is damaged.*backup/],
      ["backup", /backup .* is damaged.*first copy/],
      ["both", /Both copies/],
    ] as const) {
      const { notices, segments } = ofImage({ ...image(GiB, gpt, damaged === "both" ? [] : parts), damaged });
      assert.equal(notices[0]?.level, "warning");
      assert.match(notices[0]?.text ?? "", words);
      // What can't be told isn't free.
      assert.equal(sketch(segments), damaged === "both" ? "device" : "1:empty free");
    }
  });

  test("what was cut short is said: the table, its backup with it, and the file system", () => {
    const parts = [partition(1, MiB, 50 * MiB, { content: { ...fs("ext4"), fullSize: 90 * MiB } })];
    const cut = ofImage({ ...image(60 * MiB, gpt, parts), damaged: "backup", tableSize: 100 * MiB });
    assert.deepEqual(
      cut.notices.map(({ text }) => text),
      [
        "Cut short: its partition table is for 100 MiB, of which the last 40 MiB are missing.",
        "Partition 1: Cut short: its ext4 has 90 MiB, of which the last 40 MiB are missing.",
      ],
    );
    assert.ok(cut.segments[0] && spoken(cut.segments[0]).includes("its ext4 has 90 MiB"));
    const more = ofImage({ ...image(MiB, gpt), damaged: "both", tableSize: 100 * MiB });
    assert.match(more.notices[0]?.text ?? "", /last 99 MiB are missing\. Its partitions can't be told\.$/);
    assert.equal(sketch(more.segments), "device");
    const [only] = ofImage(image(GiB, { ...fs("xfs"), fullSize: 3 * GiB })).notices;
    assert.equal(only?.text, "Cut short: its xfs has 3 GiB, of which the last 2 GiB are missing.");
    const primary = ofImage({ ...image(60 * MiB, gpt, parts), damaged: "primary", tableSize: 100 * MiB });
    assert.match(primary.notices[1]?.text ?? "", /first copy/);
  });

  test("overlaps and ends past the end are said, and nothing is lost", () => {
    const { segments, notices } = ofImage(
      image(100 * MiB, mbr, [
        partition(1, MiB, 40 * MiB, { type: "0x83" }),
        partition(2, 30 * MiB, 40 * MiB, { type: "0x83" }),
        partition(3, 75 * MiB, 400 * MiB, { type: "0x83" }),
      ]),
    );
    assert.equal(sketch(segments), "1:empty 2:empty free 3:empty");
    assert.deepEqual(segments[0]?.oddities, ["Overlaps partition 2."]);
    assert.match(segments[3]?.oddities.join() ?? "", /past the end/);
    assert.match(notices[0]?.text ?? "", /^Partition 1: Overlaps partition 2\. Partition 2: Overlaps partition 1\./);
  });

  test("one partition within another, twice the same place, and nothing of no size is lost", () => {
    const inside = [partition(1, MiB, 90 * MiB), partition(2, 10 * MiB, 9 * MiB)];
    assert.equal(sketch(ofImage(image(100 * MiB, gpt, inside)).segments), "1:empty[rest 2:empty rest] free");
    const same = [partition(1, MiB, 90 * MiB), partition(2, MiB, 90 * MiB)];
    assert.equal(sketch(ofImage(image(100 * MiB, gpt, same)).segments), "1:empty 2:empty free");
    assert.equal(flattened(ofImage(image(100 * MiB, gpt, [partition(1, MiB, 0)])).segments).length, 2);
  });

  test("128 partitions are 128 segments with ids of their own", () => {
    const parts = Array.from({ length: 128 }, (_, index) => partition(index + 1, (index + 1) * MiB, MiB));
    const { segments } = ofImage(image(130 * MiB, gpt, parts));
    assert.equal(new Set(segments.map(({ id }) => id)).size, 128);
  });
});

describe("layout of a device", () => {
  const mount = { target: "/mnt", fileSystem: "ext4", options: [], readOnly: false };

  test("names nodes, mounts and used space", () => {
    const space = { total: 400, used: 100, available: 280 };
    const parts = [
      partition(1, MiB, 500 * MiB, { device: "/dev/loop3p1", content: fs("ext4"), mounts: [{ ...mount, space }] }),
    ];
    const [first] = ofDevice(loop({ content: gpt, partitions: parts })).segments;
    assert.equal(first?.title, "loop3p1");
    assert.deepEqual(first?.used, { bytes: 100, total: 400 });
    assert.deepEqual(first?.mountedAt, ["/mnt"]);
    assert.match(spoken(first as Segment), /100 B \(25 %\) used, mounted at \/mnt/);
  });

  test("a table whose partitions the kernel doesn't know isn't free space", () => {
    assert.equal(sketch(ofDevice(loop({ content: gpt })).segments), "device");
  });

  test("without known space, nothing is said of it", () => {
    const [only] = ofDevice(loop({ content: fs("ext4"), mounts: [mount] })).segments;
    assert.equal(only?.used, null);
    assert.ok(!details(only as Segment).some(([name]) => name === "Used"));
  });

  test("what is wrong with it is said, also of what stands on it", () => {
    const parts = [partition(1, MiB, 50 * MiB, { device: "/dev/loop3p1", holders: ["/dev/mapper/data"] })];
    const disk = loop({ content: gpt, partitions: parts, damaged: "primary" });
    const data = mapper("data", { size: 50 * MiB, content: { ...fs("xfs"), fullSize: 60 * MiB } });
    const { notices } = ofDevice(disk, [data]);
    assert.match(notices[0]?.text ?? "", /^The first copy of the partition table \(GPT\) is damaged/);
    assert.equal(notices[1]?.text, "data: Cut short: its xfs has 60 MiB, of which the last 10 MiB are missing.");
  });

  test("the extended partition is as large as its logical ones need, not the kernel's 1 KiB", () => {
    const { segments, notices } = ofDevice(
      loop({
        content: mbr,
        partitions: [
          partition(1, MiB, 1024, { type: "0xf" }),
          partition(5, 2 * MiB, 500 * MiB, { type: "0x83", content: fs("ext4") }),
          partition(6, 503 * MiB, 400 * MiB, { type: "0x83" }),
        ],
      }),
    );
    assert.equal(sketch(segments), "1:extended[5:ext 6:empty] free");
    assert.equal(segments[0]?.size, 902 * MiB);
    assert.deepEqual(notices, []);
  });

  test("what stands on it is within it, and what they leave", () => {
    const root = mapper("vg-root", { size: 600 * MiB, content: fs("xfs"), mounts: [mount] });
    const home = mapper("vg-home", { size: 200 * MiB, holders: ["/dev/mapper/crypt"] });
    const crypt = mapper("crypt", { size: 199 * MiB, content: fs("btrfs") });
    const lvm: Content = { ...no, kind: "raid", type: "LVM2_member" };
    const disk = loop({ content: lvm, holders: [root.device, home.device, "/dev/md7"] });
    const { segments } = ofDevice(disk, [root, home, crypt]);
    assert.equal(sketch(segments), "device[vg-root:xfs vg-home:empty[crypt:btrfs] md7:other]");
    const alone = ofDevice({ ...disk, holders: [root.device] }, [root]);
    assert.equal(sketch(alone.segments), "device[vg-root:xfs rest]");
    assert.equal(findSegment(alone.segments, "/dev/loop3//dev/mapper/vg-root")?.title, "vg-root");
  });

  test("what holds the whole disk but stands on a partition's place is drawn there", () => {
    const part = mapper("loop3p1", {
      table: [{ startSectors: 0, lengthSectors: 1024 * 1024, type: "linear", params: "7:3 2048" }],
    });
    const all = mapper("all", { table: [{ startSectors: 0, lengthSectors: 8, type: "zero", params: "" }] });
    const disk = loop({
      content: gpt,
      partitions: [partition(1, MiB, 512 * MiB)],
      holders: [part.device, all.device],
    });
    const { segments, notices } = ofDevice(disk, [part, all]);
    assert.equal(sketch(segments), "1:empty[loop3p1:empty] free");
    assert.match(notices[0]?.text ?? "", /as a whole.* by all\.$/);
  });

  test("devices that seem to stand on each other come to an end", () => {
    const a = mapper("a", { holders: ["/dev/mapper/b"] });
    const b = mapper("b", { holders: ["/dev/mapper/a", "/dev/mapper/b"] });
    assert.equal(sketch(ofDevice(a, [b]).segments), "device[b:empty]");
  });

  test("each part has the actions that are offered for it", () => {
    const parts = [partition(1, MiB, MiB, { device: "/dev/loop3p1" }), partition(2, 2 * MiB, MiB, { type: "0x5" })];
    const disk = loop({ content: mbr, partitions: parts });
    const { segments } = layoutOfDevice(disk, [disk], ({ device }) => [{ deed: "mount", title: device }]);
    assert.deepEqual(segments[0]?.actions, [{ deed: "mount", title: "/dev/loop3p1" }]);
    assert.deepEqual(segments[1]?.actions, []);
  });
});

describe("messages", () => {
  test("a layout passes the page's check", () => {
    const { segments, notices } = ofImage(image(GiB, mbr, [partition(1, MiB, 9 * MiB, { name: "<img src=x>" })]));
    const picture = { title: "a", path: "/a", facts: [], actions: [], notices, segments };
    assert.deepEqual(v.parse(Picture, picture), picture);
  });

  test("what the page never says isn't heard", () => {
    for (const said of [null, {}, { type: "act" }, { type: "act", deed: "format" }, { type: "run", command: "x" }]) {
      assert.equal(v.safeParse(ToHost, said).success, false);
    }
    assert.equal(v.safeParse(ToHost, { type: "act", deed: "detach" }).success, true);
    assert.equal(v.safeParse(Target, { kind: "image" }).success, false);
  });
});
