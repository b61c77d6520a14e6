import assert from "node:assert/strict";
import { existsSync, lstatSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { probe } from "../../helper/content/probe";
import { devnum } from "../../helper/linux/devnum";
import { isErrno } from "../../helper/linux/errno";
import { O_RDONLY, O_RDWR, type OpenFile, openDevice, openFile } from "../../helper/linux/file";
import { call } from "../../helper/linux/libc";
import { diskFolder, partitionsOf } from "../../helper/linux/sysfs";
import { announcePartitions, geometryOf, readTable } from "../../helper/partition/announce";
import { describePartitions } from "../../helper/partition/describe";
import { forgetPartitions, PATIENCE } from "../../helper/partition/forget";
import { ensurePartitionNodes, removePartitionNodes } from "../../helper/partition/nodes";
import { rescanPartitions } from "../../helper/partition/rescan";
import { resizePartition } from "../../helper/partition/resize";
import { Problem } from "../../helper/problem";
import type { Reason } from "../../helper/protocol";
import { KiB, MiB, run, sfdisk, Workshop } from "../images";
import { letUdevLook, until } from "./scene";

const workshop = new Workshop();
after(() => workshop[Symbol.dispose]());

/** A loop device of the test's own, without a scan by the kernel. */
class Attached implements AsyncDisposable {
  private constructor(
    readonly name: string,
    readonly disk: OpenFile,
  ) {}

  static async from(image: string, ...options: string[]): Promise<Attached> {
    const node = run("losetup", ["--find", "--show", ...options, image]).trim();
    return new Attached(node.slice("/dev/".length), await openDevice(node, O_RDWR));
  }

  part(number: number): string {
    return `${this.disk.path}p${number}`;
  }

  /** What the kernel knows, in short. */
  known(): [number, number, number][] {
    return partitionsOf(this.name).map(({ number, start, size }) => [number, start, size]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await forgetPartitions(this.disk, this.name, PATIENCE);
    } finally {
      await this.disk[Symbol.asyncDispose]();
      run("losetup", ["--detach", `/dev/${this.name}`]);
    }
  }
}

function truncated(image: string): string {
  truncateSync(image, 12 * MiB);
  return image;
}

function refuses(reason: Reason): (error: unknown) => boolean {
  return (error) => error instanceof Problem && error.data.reason === reason;
}

const three = "label: gpt\nsize=8M, name=one\nsize=8M, name=two\nsize=8M, name=three\n";

describe("announcePartitions", { concurrency: false }, () => {
  it("makes a GPT's partitions known, once, and their nodes", async () => {
    const image = workshop.disk("announce.img", 40 * MiB, three);
    await using loop = await Attached.from(image);
    assert.deepEqual(loop.known(), []);
    assert.deepEqual(await announcePartitions(loop.disk, loop.name), { added: [1, 2, 3], refused: [] });
    assert.deepEqual(
      loop.known(),
      sfdisk(image).partitions.map(({ number, start, size }) => [number, start, size]),
    );
    for (const { name, devnum: number } of partitionsOf(loop.name)) {
      assert.equal(devnum(lstatSync(`/dev/${name}`, { bigint: true }).rdev), number);
    }
    assert.deepEqual(await announcePartitions(loop.disk, loop.name), { added: [], refused: [] });
  });

  it("does it by a descriptor for reading, and on a read-only device", async () => {
    await using loop = await Attached.from(workshop.disk("read-only.img", 40 * MiB, three), "--read-only");
    await using reader = await openDevice(loop.disk.path, O_RDONLY);
    assert.deepEqual((await announcePartitions(reader, loop.name)).added, [1, 2, 3]);
  });

  it("gives an extended partition two sectors, and logical ones their numbers", async () => {
    const image = workshop.disk("extended.img", 64 * MiB, "label: dos\n,8M\n,8M\n,,E\n,8M\n,8M\n");
    await using loop = await Attached.from(image);
    assert.deepEqual((await announcePartitions(loop.disk, loop.name)).added, [1, 2, 3, 5, 6]);
    const bySfdisk = sfdisk(image).partitions;
    assert.deepEqual(
      loop.known(),
      bySfdisk.map(({ number, start, size, type }) => [number, start, type === "5" ? KiB : size]),
    );
  });

  it("counts in the device's own sectors", async () => {
    for (const label of ["gpt", "dos"]) {
      const image = workshop.disk(`4k-${label}.img`, 64 * MiB, `label: ${label}\n,8M\n,8M\n`, 4096);
      await using loop = await Attached.from(image, "--sector-size", "4096");
      assert.deepEqual((await announcePartitions(loop.disk, loop.name)).added, [1, 2]);
      assert.deepEqual(
        loop.known(),
        sfdisk(image, 4096).partitions.map(({ number, start, size }) => [number, start, size]),
      );
    }
  });

  it("makes 128 partitions known", async () => {
    await using loop = await Attached.from(workshop.disk("many.img", 140 * MiB, `label: gpt\n${",1M\n".repeat(128)}`));
    assert.equal((await announcePartitions(loop.disk, loop.name)).added.length, 128);
    assert.equal(await forgetPartitions(loop.disk, loop.name, PATIENCE), 128);
  });

  it("cuts what reaches past the disk's end and leaves out what starts there, as the kernel's scan", async () => {
    const image = workshop.disk("cut.img", 40 * MiB, "label: dos\n,8M\n,8M\n,8M\n");
    truncated(image);
    await using loop = await Attached.from(image);
    assert.deepEqual((await announcePartitions(loop.disk, loop.name)).added, [1, 2]);
    assert.deepEqual(loop.known(), [
      [1, MiB, 8 * MiB],
      [2, 9 * MiB, 3 * MiB],
    ]);
  });

  it("says which it could not make known, and goes on", async () => {
    await using loop = await Attached.from(workshop.disk("overlap.img", 40 * MiB, three));
    const table = await readTable(loop.disk);
    assert.ok(table);
    const [first, second, third] = table.partitions;
    assert.ok(first && second && third);
    const overlapping = { ...table, partitions: [first, { ...second, start: first.start }, third] };
    assert.deepEqual(await announcePartitions(loop.disk, loop.name, overlapping), {
      added: [1, 3],
      refused: [{ number: 2, errno: "EBUSY" }],
    });
  });

  it("is content when somebody else is quicker", async () => {
    await using loop = await Attached.from(workshop.disk("race.img", 40 * MiB, three));
    const table = await readTable(loop.disk);
    const results = await Promise.all(Array.from({ length: 6 }, () => announcePartitions(loop.disk, loop.name, table)));
    assert.deepEqual(
      results.flatMap(({ refused }) => refused),
      [],
    );
    assert.deepEqual(results.flatMap(({ added }) => added).sort(), [1, 2, 3]);
  });

  it("finds nothing to do on a disk without a table", async () => {
    await using loop = await Attached.from(workshop.fileSystem("ext4"));
    assert.deepEqual(await announcePartitions(loop.disk, loop.name), { added: [], refused: [] });
  });
});

// Many a kernel has no parsers to compare with. The guest's has: there this is part of the tier.
if (process.env.DISKLOOM_GUEST) {
  describe("what is announced is what the kernel's own scan finds", { concurrency: false }, () => {
    const disks: [string, () => string, number][] = [
      ["GPT", () => workshop.disk("scan-gpt.img", 40 * MiB, three), 512],
      ["MBR", () => workshop.disk("scan-mbr.img", 64 * MiB, "label: dos\n,8M\n,8M\n,,E\n,8M\n,8M\n"), 512],
      ["GPT, 4096", () => workshop.disk("scan-gpt4k.img", 40 * MiB, "label: gpt\n,8M\n,8M\n", 4096), 4096],
      ["MBR, 4096", () => workshop.disk("scan-mbr4k.img", 64 * MiB, "label: dos\n,8M\n,,E\n,8M\n,8M\n", 4096), 4096],
      [
        "a truncated disk",
        () => truncated(workshop.disk("scan-cut.img", 40 * MiB, "label: dos\n,8M\n,8M\n,8M\n")),
        512,
      ],
      ["a hybrid ISO", () => workshop.fileSystem("iso"), 512],
      ["a file system", () => workshop.fileSystem("vfat", "scan"), 512],
    ];
    for (const [name, make, sectorSize] of disks) {
      it(name, async () => {
        const image = make();
        const options = ["--sector-size", `${sectorSize}`];
        await using scanned = await Attached.from(image, "--partscan", ...options);
        await using announced = await Attached.from(image, ...options);
        await announcePartitions(announced.disk, announced.name);
        letUdevLook();
        assert.deepEqual(announced.known(), scanned.known());
        assert.deepEqual(await announcePartitions(scanned.disk, scanned.name), { added: [], refused: [] });
      });
    }

    before(async () => {
      await using probe = await Attached.from(workshop.disk("parser.img", 40 * MiB, three), "--partscan");
      letUdevLook();
      assert.equal(probe.known().length, 3, "the guest's kernel parses partition tables");
    });
  });
}

describe("forgetPartitions", { concurrency: false }, () => {
  it("removes all and their nodes, and counts none the second time", async () => {
    await using loop = await Attached.from(workshop.disk("forget.img", 40 * MiB, three));
    await announcePartitions(loop.disk, loop.name);
    assert.equal(await forgetPartitions(loop.disk, loop.name, PATIENCE), 3);
    assert.deepEqual(loop.known(), []);
    assert.equal(existsSync(loop.part(1)), false);
    assert.equal(await forgetPartitions(loop.disk, loop.name, PATIENCE), 0);
  });

  it("removes what a detached device was left with", async () => {
    const image = workshop.disk("left-over.img", 40 * MiB, three);
    await using loop = await Attached.from(image);
    await announcePartitions(loop.disk, loop.name);
    await using other = await openDevice(loop.disk.path, O_RDONLY);
    assert.equal(await forgetPartitions(other, loop.name, PATIENCE), 3);
  });

  it("leaves one that is in use, removes the others, and says so", async () => {
    await using loop = await Attached.from(workshop.disk("busy.img", 40 * MiB, three));
    await announcePartitions(loop.disk, loop.name);
    {
      await using _user = await openDevice(loop.part(2), O_RDONLY);
      await assert.rejects(forgetPartitions(loop.disk, loop.name, PATIENCE), (error) => isErrno(error, "EBUSY"));
      assert.deepEqual(
        loop.known().map(([number]) => number),
        [2],
      );
    }
    assert.equal(await forgetPartitions(loop.disk, loop.name, PATIENCE), 1);
  });

  it("two at once remove each partition once", async () => {
    await using loop = await Attached.from(workshop.disk("forget-race.img", 40 * MiB, three));
    await announcePartitions(loop.disk, loop.name);
    const counts = await Promise.all([1, 2, 3].map(() => forgetPartitions(loop.disk, loop.name, PATIENCE)));
    assert.equal(
      counts.reduce((sum, count) => sum + count, 0),
      3,
    );
  });
});

describe("a partition that somebody only has a look at", { concurrency: false }, () => {
  it("is waited for, as long as there is patience", async () => {
    await using loop = await Attached.from(workshop.disk("look.img", 40 * MiB, three));
    await announcePartitions(loop.disk, loop.name);
    await using look = await openDevice(loop.part(2), O_RDONLY);
    await assert.rejects(forgetPartitions(loop.disk, loop.name), (error) => isErrno(error, "EBUSY"));
    const forgetting = forgetPartitions(loop.disk, loop.name, 20 * PATIENCE);
    await new Promise((resolve) => setTimeout(resolve, 100));
    // Others may have a look at the other two.
    await until(() => loop.known().length === 1, "all but one forgotten");
    await look[Symbol.asyncDispose]();
    assert.ok((await forgetting) >= 1);
    assert.deepEqual(loop.known(), []);
  });
});

describe("resizePartition", { concurrency: false }, () => {
  it("changes only what was asked, and nothing where nothing differs", async () => {
    await using loop = await Attached.from(workshop.disk("resize.img", 40 * MiB, "label: dos\n,8M\n"));
    await announcePartitions(loop.disk, loop.name);
    const name = `${loop.name}p1`;
    assert.equal((await resizePartition(loop.disk, name, { size: 12 * MiB })).size, 12 * MiB);
    assert.deepEqual(loop.known(), [[1, MiB, 12 * MiB]]);
    assert.equal((await resizePartition(loop.disk, name, { start: MiB })).size, 12 * MiB);
    assert.equal((await resizePartition(loop.disk, name, {})).size, 12 * MiB);
    assert.equal((await resizePartition(loop.disk, name, { start: MiB, size: 4 * MiB })).size, 4 * MiB);
    assert.deepEqual(loop.known(), [[1, MiB, 4 * MiB]]);
  });

  it("does it while the partition is in use", async () => {
    await using loop = await Attached.from(workshop.disk("in-use.img", 40 * MiB, "label: dos\n,8M\n"));
    await announcePartitions(loop.disk, loop.name);
    await using _user = await openDevice(loop.part(1), O_RDWR);
    assert.equal((await resizePartition(loop.disk, `${loop.name}p1`, { size: 16 * MiB })).size, 16 * MiB);
  });

  it("says why it can't be", async () => {
    await using loop = await Attached.from(workshop.disk("refused.img", 40 * MiB, three));
    await announcePartitions(loop.disk, loop.name);
    const before = loop.known();
    const resize = (wish: { start?: number; size?: number }) => resizePartition(loop.disk, `${loop.name}p1`, wish);
    await assert.rejects(resize({ start: 2 * MiB }), refuses("invalid"));
    await assert.rejects(resize({ size: 1000 }), refuses("invalid"));
    await assert.rejects(resize({ size: 12 * MiB }), refuses("busy"));
    await assert.rejects(resizePartition(loop.disk, `${loop.name}p9`, { size: MiB }), refuses("notFound"));
    assert.deepEqual(loop.known(), before);
  });
});

describe("rescanPartitions", { concurrency: false }, () => {
  it("changes what the table changed and touches nothing else", async () => {
    const image = workshop.disk("rescan.img", 64 * MiB, "label: dos\n,8M\n,8M\n,8M\n,8M\n");
    await using loop = await Attached.from(image);
    await announcePartitions(loop.disk, loop.name);
    // The first stays, the second grows while it is in use, the third moves, the fourth goes.
    await using _first = await openDevice(loop.part(1), O_RDONLY);
    await using _second = await openDevice(loop.part(2), O_RDONLY);
    const script = "label: dos\nstart=2048,size=8M\nsize=12M\nstart=32M,size=4M\n";
    run("sfdisk", ["-q", "--force", "--no-reread", "--no-tell-kernel", loop.disk.path], script);
    const result = await rescanPartitions(loop.disk, loop.name);
    assert.deepEqual(
      { removed: result.removed, resized: result.resized, added: result.added, refused: result.refused },
      { removed: 2, resized: [2], added: [3], refused: [] },
    );
    assert.deepEqual(loop.known(), [
      [1, MiB, 8 * MiB],
      [2, 9 * MiB, 12 * MiB],
      [3, 32 * MiB, 4 * MiB],
    ]);
  });

  it("says that a partition in use would have to go, and does the rest", async () => {
    await using loop = await Attached.from(workshop.disk("rescan-busy.img", 64 * MiB, "label: dos\n,8M\n"));
    await announcePartitions(loop.disk, loop.name);
    await using _user = await openDevice(loop.part(1), O_RDONLY);
    const script = "label: dos\nstart=20M,size=8M\nstart=30M,size=8M\n";
    run("sfdisk", ["-q", "--force", "--no-reread", "--no-tell-kernel", loop.disk.path], script);
    await assert.rejects(rescanPartitions(loop.disk, loop.name), (error) => isErrno(error, "EBUSY"));
    assert.deepEqual(loop.known(), [
      [1, MiB, 8 * MiB],
      [2, 30 * MiB, 8 * MiB],
    ]);
  });
});

describe("nodes of partitions", { concurrency: false }, () => {
  it("are made where they are missing, for root and the group disk alone", async () => {
    await using loop = await Attached.from(workshop.disk("nodes.img", 40 * MiB, three));
    await announcePartitions(loop.disk, loop.name);
    rmSync(loop.part(2));
    assert.deepEqual(ensurePartitionNodes(loop.name), { made: [loop.part(2)], blocked: [] });
    const made = lstatSync(loop.part(2), { bigint: true });
    assert.equal(made.mode & 0o7777n, 0o660n);
    assert.equal(made.uid, 0n);
    assert.equal(`${made.gid}`, run("getent", ["group", "disk"]).split(":")[2]);
    assert.equal(devnum(made.rdev), partitionsOf(loop.name)[1]?.devnum);
    assert.deepEqual(ensurePartitionNodes(loop.name), { made: [], blocked: [] });
  });

  it("of another number are replaced, and nothing else is", async () => {
    await using loop = await Attached.from(workshop.disk("stale.img", 40 * MiB, three));
    await announcePartitions(loop.disk, loop.name);
    const [first, second, third] = [loop.part(1), loop.part(2), loop.part(3)];
    try {
      rmSync(first);
      renameSync(third, first);
      rmSync(second);
      writeFileSync(second, "somebody's file");
      symlinkSync(first, third);
      // A link to the right node would do for opening, but it isn't a node.
      assert.deepEqual(ensurePartitionNodes(loop.name), { made: [first], blocked: [second, third] });
      assert.equal(devnum(lstatSync(first, { bigint: true }).rdev), partitionsOf(loop.name)[0]?.devnum);
    } finally {
      rmSync(second, { force: true });
      rmSync(third, { force: true });
    }
  });

  it("are removed when they are of exactly that number and the partition is gone", async () => {
    await using loop = await Attached.from(workshop.disk("remove.img", 40 * MiB, three));
    await announcePartitions(loop.disk, loop.name);
    const before = partitionsOf(loop.name);
    assert.deepEqual(removePartitionNodes(loop.name, before), []);
    // Nodes that we made ourselves: the kernel takes away only its own.
    rmSync(loop.part(1));
    rmSync(loop.part(2));
    ensurePartitionNodes(loop.name);
    assert.equal(await forgetPartitions(loop.disk, loop.name, PATIENCE), 3);
    assert.deepEqual(
      [1, 2, 3].map((number) => existsSync(loop.part(number))),
      [false, false, false],
    );
    try {
      const stranger = lstatSync("/dev/null", { bigint: true });
      call("mknod", [loop.part(1), 0o020600, stranger.rdev], ["mknod", loop.part(1)]);
      assert.deepEqual(removePartitionNodes(loop.name, before), []);
      assert.equal(existsSync(loop.part(1)), true);
    } finally {
      rmSync(loop.part(1), { force: true });
    }
  });
});

describe("describePartitions", { concurrency: false }, () => {
  const alone = { mountsOf: () => [], holdersOf: () => [] };

  async function describeAll(loop: Attached) {
    const { size, sectorSize } = geometryOf(loop.disk);
    const { table } = await probe(loop.disk, { offset: 0, size, sectorSize });
    return describePartitions(loop.name, loop.disk, table, sectorSize, alone);
  }

  it("joins the kernel's partitions, the table's names, and their content", async () => {
    const image = workshop.disk("describe.img", 40 * MiB, three);
    const read = sfdisk(image).partitions;
    workshop.put(image, read[1]?.start ?? 0, workshop.fileSystem("ext4", "described"));
    await using loop = await Attached.from(image);
    await announcePartitions(loop.disk, loop.name);
    const asked: string[] = [];
    const { table } = await probe(loop.disk, { offset: 0, ...geometryOf(loop.disk) });
    const described = await describePartitions(loop.name, loop.disk, table, 512, {
      mountsOf: (number) => [{ target: `/mnt/${number}`, fileSystem: "ext4", options: [], readOnly: false }],
      holdersOf: (folder) => {
        asked.push(folder);
        return [];
      },
    });
    assert.deepEqual(
      described.map(({ device, number, start, size, type, uuid, name }) => ({
        device,
        number,
        start,
        size,
        type: type.toUpperCase(),
        uuid: uuid.toUpperCase(),
        name,
      })),
      read.map((partition) => ({ device: loop.part(partition.number), ...partition })),
    );
    assert.deepEqual(
      described.map(({ content }) => [content.kind, content.type, content.label]),
      [
        ["empty", "", ""],
        ["filesystem", "ext4", "Ext Label"],
        ["empty", "", ""],
      ],
    );
    assert.deepEqual(
      described.map(({ mounts }) => mounts[0]?.target),
      partitionsOf(loop.name).map((partition) => `/mnt/${partition.devnum}`),
    );
    assert.deepEqual(
      asked,
      [1, 2, 3].map((number) => `${diskFolder(loop.name)}/${loop.name}p${number}`),
    );
  });

  it("sees what was just written to a partition, although the disk's own cache is older", async () => {
    await using loop = await Attached.from(workshop.disk("cache.img", 40 * MiB, three));
    await announcePartitions(loop.disk, loop.name);
    // Keeps the disk's cache alive, and fills it.
    await using _user = await openDevice(loop.part(1), O_RDONLY);
    const [, second] = partitionsOf(loop.name);
    assert.equal((await probe(loop.disk, { offset: second?.start ?? 0, size: 8 * MiB })).content.kind, "empty");
    run("mkfs.ext4", ["-q", "-F", loop.part(2)]);
    assert.equal((await describeAll(loop))[1]?.content.type, "ext4");
  });

  it("reads through the disk where a partition's node is missing", async () => {
    const image = workshop.disk("no-node.img", 40 * MiB, three);
    workshop.put(image, sfdisk(image).partitions[0]?.start ?? 0, workshop.fileSystem("vfat", "no-node"));
    await using loop = await Attached.from(image);
    await announcePartitions(loop.disk, loop.name);
    rmSync(loop.part(1));
    assert.equal((await describeAll(loop))[0]?.content.type, "vfat");
  });

  it("takes nothing from a table that speaks of another place", async () => {
    const image = workshop.disk("moved.img", 40 * MiB, three);
    await using loop = await Attached.from(image);
    await announcePartitions(loop.disk, loop.name);
    const moved = workshop.disk("moved-table.img", 40 * MiB, "label: gpt\nstart=20M, size=4M, name=other\n");
    using file = openFile(moved, O_RDONLY);
    const { table } = await probe(file, { offset: 0, size: 40 * MiB });
    const [first] = await describePartitions(loop.name, loop.disk, table, 512, alone);
    assert.deepEqual([first?.name, first?.uuid], ["", ""]);
  });

  it("shows LVM's mark as what it is", async () => {
    await using loop = await Attached.from(workshop.blank("lvm.img", 16 * MiB));
    const config = `devices { filter=["a|^${loop.disk.path}$|","r|.*|"] use_devicesfile=0 }`;
    run("pvcreate", ["-q", "-y", "-Z", "n", "--config", config, loop.disk.path]);
    const { content } = await probe(loop.disk, { offset: 0, ...geometryOf(loop.disk) });
    assert.deepEqual([content.kind, content.type], ["raid", "LVM2_member"]);
  });
});
