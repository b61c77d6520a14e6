import assert from "node:assert/strict";
import {
  closeSync,
  copyFileSync,
  mkdirSync,
  openSync,
  readSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { after, describe, it, mock } from "node:test";
import koffi from "koffi";
import { inspectImage } from "../../helper/content/inspect";
import { type PartitionTable, type Probed, probe, probeSectorSize } from "../../helper/content/probe";
import { O_RDONLY, openFile } from "../../helper/linux/file";
import { uninterrupted } from "../../helper/pause";
import { Problem } from "../../helper/problem";
import type { Content, Partition } from "../../helper/protocol";
import { blkid, type FileSystem, KiB, MiB, run, sfdisk, Workshop } from "../images";

const workshop = new Workshop();
after(() => workshop[Symbol.dispose]());

async function probeFile(path: string, sectorSize = 512, offset = 0): Promise<Probed> {
  using file = openFile(path, O_RDONLY);
  return await probe(file, { offset, size: statSync(path).size - offset, sectorSize });
}

async function inspect(path: string, options: { offset?: number; sectorSize?: number | "probe" } = {}) {
  using file = openFile(path, O_RDONLY);
  return await inspectImage({ file, stat: file.stat() }, { offset: 0, sectorSize: "probe", ...options }, uninterrupted);
}

/** blkid's answer in our words. */
function contentByBlkid(path: string, range?: { offset: number; size: number }): Content | undefined {
  const said = blkid(path, range);
  if (said?.TYPE) {
    const kind = said.USAGE as Content["kind"];
    return { kind, type: said.TYPE, label: (said.LABEL ?? "").trimEnd(), uuid: said.UUID ?? "" };
  }
  return said?.PTTYPE ? { kind: "partitionTable", type: said.PTTYPE, label: "", uuid: said.PTUUID ?? "" } : undefined;
}

/** Compares with sfdisk, which writes types and UUIDs of its own way and leaves out those that MBR hasn't got. */
function assertLikeSfdisk(
  partitions: Pick<Partition, "number" | "start" | "size" | "type" | "uuid" | "name">[],
  path: string,
  sectorSize = 512,
): void {
  const table = sfdisk(path, sectorSize);
  assert.deepEqual(
    partitions.map(({ number, start, size, type, uuid, name }) => ({
      number,
      start,
      size,
      type: type.replace(/^0x/, "").toUpperCase(),
      uuid: table.label === "gpt" ? uuid.toUpperCase() : "",
      name,
    })),
    table.partitions.map((partition) => ({ ...partition, type: partition.type.toUpperCase() })),
  );
}

function overwrite(path: string, offset: number, bytes: Uint8Array): void {
  const fd = openSync(path, "r+");
  writeSync(fd, bytes, 0, bytes.length, offset);
  closeSync(fd);
}

function bytesOf(path: string, offset: number, length: number): Buffer {
  const fd = openSync(path, "r");
  const bytes = Buffer.alloc(length);
  readSync(fd, bytes, 0, length, offset);
  closeSync(fd);
  return bytes;
}

function copyOf(path: string, name: string): string {
  const copy = workshop.path(name);
  copyFileSync(path, copy);
  return copy;
}

/** Always the same, and without any structure. */
function noiseOf(size: number): Buffer {
  const noise = Buffer.alloc(size);
  let state = 1;
  for (let index = 0; index < size; index++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    noise[index] = state >>> 24;
  }
  return noise;
}

/** Flips bits where a copy of the GPT has its disk's UUID: the header's checksum is then wrong. */
function damage(path: string, sector: number, sectorSize = 512): void {
  const at = sector * sectorSize + 56;
  overwrite(
    path,
    at,
    Uint8Array.from(bytesOf(path, at, 4), (byte) => byte ^ 0xff),
  );
}

describe("a machine without libblkid", () => {
  it("is told which package is missing, and needn't start the helper anew once it is there", async () => {
    const path = workshop.fileSystem("ext4", "no-library");
    const load = mock.method(koffi, "load", () => {
      throw new Error("libblkid.so.1: cannot open shared object file");
    });
    await assert.rejects(
      probeFile(path),
      (error) => error instanceof Problem && error.data.reason === "unsupported" && /libblkid1/.test(error.message),
    );
    assert.equal(load.mock.callCount(), 1);
    load.mock.restore();
    assert.equal((await probeFile(path)).content.type, "ext4");
  });
});

describe("file systems, as blkid tells them", () => {
  const kinds: [FileSystem, Content["kind"]][] = [
    ["ext4", "filesystem"],
    ["xfs", "filesystem"],
    ["btrfs", "filesystem"],
    ["vfat", "filesystem"],
    ["squashfs", "filesystem"],
    ["erofs", "filesystem"],
    ["swap", "other"],
    ["luks", "crypto"],
  ];
  for (const [type, kind] of kinds) {
    it(`${type} is ${kind}`, async () => {
      const path = workshop.fileSystem(type);
      const { content, table } = await probeFile(path);
      assert.equal(content.kind, kind);
      assert.deepEqual(content, contentByBlkid(path));
      assert.equal(table, undefined);
    });
  }

  it("finds one behind an offset, and only there", async () => {
    const path = workshop.blank("behind.img", 8 * MiB);
    workshop.put(path, MiB, workshop.fileSystem("ext4", "inner"));
    assert.equal((await probeFile(path, 512, MiB)).content.type, "ext4");
    assert.notEqual((await probeFile(path)).content.type, "ext4");
  });

  it("shows a label that isn't UTF-8 or has control characters without them", async () => {
    const path = workshop.blank("odd-label.img", 4 * MiB);
    // Without a checksum, so that the superblock can be changed by hand.
    run("mkfs.ext4", ["-q", "-F", "-O", "^metadata_csum", path]);
    const label = Buffer.from("A\xff\x1b[B\nC", "latin1");
    overwrite(path, KiB + 120, label);
    const { content } = await probeFile(path);
    assert.equal(content.type, "ext4");
    assert.match(content.label, /^A/);
    assert.doesNotMatch(content.label, /\p{Cc}/u);
  });

  it("calls two file systems that both left their mark ambivalent", async () => {
    const path = workshop.fileSystem("btrfs", "two");
    // The place of ext2's magic number is free in btrfs.
    const ext = workshop.fileSystem("ext4", "other");
    overwrite(path, KiB, bytesOf(ext, KiB, KiB));
    assert.equal(contentByBlkid(path), undefined);
    assert.deepEqual((await probeFile(path)).content, { kind: "other", type: "ambivalent", label: "", uuid: "" });
  });

  it("can be asked many times at once of one file", async () => {
    const path = workshop.disk("crowd.img", 64 * MiB, "label: gpt\n,8M\n,8M\n,8M\n");
    const types: FileSystem[] = ["ext4", "vfat", "squashfs"];
    const { partitions } = sfdisk(path);
    for (const [index, type] of types.entries()) {
      workshop.put(path, partitions[index]?.start ?? 0, workshop.fileSystem(type, "crowd"));
    }
    using file = openFile(path, O_RDONLY);
    const asked = Array.from({ length: 60 }, (_, index) => index % 3);
    const answers = await Promise.all(
      asked.map((index) => probe(file, { offset: partitions[index]?.start ?? 0, size: partitions[index]?.size ?? 0 })),
    );
    assert.deepEqual(
      answers.map(({ content }) => content.type),
      asked.map((index) => types[index]),
    );
  });
});

describe("nothing to be found", () => {
  it("an empty file, and one of zeros, are empty", async () => {
    for (const size of [0, 1, 511, 512, MiB]) {
      const path = workshop.blank(`empty-${size}.img`, size);
      assert.deepEqual(
        (await probeFile(path)).content,
        { kind: "empty", type: "", label: "", uuid: "" },
        `${size} bytes`,
      );
      assert.deepEqual(await inspect(path), { size, content: (await probeFile(path)).content, partitions: [] });
    }
  });

  it("data that nothing is known of is other, and not called empty", async () => {
    const path = workshop.path("random.img");
    writeFileSync(path, noiseOf(MiB));
    assert.equal(blkid(path), undefined);
    assert.deepEqual((await probeFile(path)).content, { kind: "other", type: "", label: "", uuid: "" });
  });

  it("a range past the end of the file is neither empty nor an error", async () => {
    const path = workshop.blank("short.img", MiB);
    using file = openFile(path, O_RDONLY);
    const { content } = await probe(file, { offset: 2 * MiB, size: MiB });
    assert.equal(content.kind, "other");
  });

  for (const type of ["ext4", "xfs", "squashfs", "erofs", "iso"] as const) {
    it(`${type} that was cut short is what blkid says, and how large it was`, async () => {
      // Files that don't fit into what they are packed with.
      const files = workshop.path("tree");
      mkdirSync(files, { recursive: true });
      writeFileSync(`${files}/noise`, noiseOf(2 * MiB));
      const path = workshop.fileSystem(type, "cut");
      rmSync(`${files}/noise`);
      const { size } = statSync(path);
      assert.equal((await probeFile(path)).content.fullSize, undefined);
      truncateSync(path, size - MiB);
      const { fullSize = 0, ...content } = (await probeFile(path)).content;
      assert.deepEqual(content, contentByBlkid(path));
      assert.ok(fullSize > statSync(path).size && fullSize <= size, `${fullSize} of ${size} bytes`);
    });
  }

  it("what was cut off before its mark is empty", async () => {
    const path = workshop.fileSystem("ext4", "cut-more");
    truncateSync(path, KiB);
    assert.equal((await probeFile(path)).content.kind, "empty");
  });

  it("a file system in a partition that is too small for it was cut short", async () => {
    const path = workshop.disk("too-small.img", 16 * MiB, "label: gpt\n,2M\n,4M\n");
    const file = workshop.fileSystem("ext4", "larger");
    const starts = sfdisk(path).partitions.map(({ start }) => start);
    starts.forEach((start) => void workshop.put(path, start, file));
    const { partitions } = await inspect(path);
    // The second has covered the end of the first, not its superblock.
    assert.deepEqual(
      partitions.map(({ content }) => [content.type, content.fullSize]),
      [
        ["ext4", 4 * MiB],
        ["ext4", undefined],
      ],
    );
  });

  it("an offset past the image's end is refused", async () => {
    const path = workshop.blank("small.img", MiB);
    await assert.rejects(
      inspect(path, { offset: MiB + 1 }),
      (error) => error instanceof Problem && error.data.reason === "invalid",
    );
    assert.equal((await inspect(path, { offset: MiB })).size, 0);
  });
});

describe("partition tables, as sfdisk reads them", () => {
  const four: FileSystem[] = ["ext4", "xfs", "btrfs", "vfat"];
  const script = 'label: gpt\nsize=8M, name="ä root"\nsize=301M, name="data"\nsize=111M\nsize=8M, type=U\n';

  it("GPT with four file systems", async () => {
    const path = workshop.disk("gpt.img", 440 * MiB, script);
    const read = sfdisk(path).partitions;
    for (const [index, type] of four.entries()) {
      workshop.put(path, read[index]?.start ?? 0, workshop.fileSystem(type, "gpt"));
    }
    const { content, partitions, damaged, size } = await inspect(path);
    assert.deepEqual(content, contentByBlkid(path));
    assert.equal(content.type, "gpt");
    assert.equal(content.uuid.toUpperCase(), sfdisk(path).id);
    assert.equal(size, 440 * MiB);
    assert.equal(damaged, undefined);
    assertLikeSfdisk(partitions, path);
    assert.deepEqual(
      partitions.map((partition) => partition.content.type),
      four,
    );
    for (const partition of partitions) {
      assert.deepEqual(partition.content, contentByBlkid(path, { offset: partition.start, size: partition.size }));
      assert.deepEqual([partition.device, partition.mounts, partition.holders], ["", [], []]);
    }
  });

  it("the same behind an offset", async () => {
    const inner = workshop.disk("inner.img", 40 * MiB, 'label: gpt\nsize=8M, name="a"\n,8M\n');
    workshop.put(inner, MiB, workshop.fileSystem("ext4", "offset"));
    const path = workshop.blank("outer.img", 43 * MiB);
    workshop.put(path, 3 * MiB, inner);
    const { partitions, damaged } = await inspect(path, { offset: 3 * MiB });
    assert.equal(damaged, undefined);
    assertLikeSfdisk(partitions, inner);
    assert.equal(partitions[0]?.content.type, "ext4");
  });

  it("128 partitions", async () => {
    const path = workshop.disk("many.img", 140 * MiB, `label: gpt\n${",1M\n".repeat(128)}`);
    const { partitions } = await inspect(path);
    assert.equal(partitions.length, 128);
    assertLikeSfdisk(partitions, path);
  });

  it("MBR with primary, extended and logical partitions", async () => {
    const path = workshop.disk("mbr.img", 64 * MiB, "label: dos\n,8M,c,*\n,8M\n,8M,82\n,,E\n,8M\n,8M\n,4M\n");
    workshop.put(path, sfdisk(path).partitions[0]?.start ?? 0, workshop.fileSystem("vfat", "boot"));
    workshop.put(path, sfdisk(path).partitions[5]?.start ?? 0, workshop.fileSystem("ext4", "logical"));
    const { content, partitions } = await inspect(path);
    assert.deepEqual(content, contentByBlkid(path));
    assertLikeSfdisk(partitions, path);
    assert.deepEqual(
      partitions.map(({ number }) => number),
      [1, 2, 3, 4, 5, 6, 7],
    );
    assert.equal(partitions[0]?.content.type, "vfat");
    assert.equal(partitions[5]?.content.type, "ext4");
    const { table } = await probeFile(path);
    const roles = table?.partitions.map(({ role }) => role);
    const primary = ["primary", "primary", "primary"];
    assert.deepEqual(roles, [...primary, "extended", "logical", "logical", "logical"]);
  });

  it("GPT and MBR of 4096-byte sectors", async () => {
    for (const label of ["gpt", "dos"]) {
      const path = workshop.disk(`4k-${label}.img`, 64 * MiB, `label: ${label}\n,8M\n,8M\n`, 4096);
      workshop.put(path, sfdisk(path, 4096).partitions[1]?.start ?? 0, workshop.fileSystem("ext4", `4k-${label}`));
      // Only GPT says by its place which sectors it means.
      const { content, partitions } = await inspect(path, { sectorSize: label === "gpt" ? "probe" : 4096 });
      assert.equal(content.type, label);
      assertLikeSfdisk(partitions, path, 4096);
      assert.equal(partitions[1]?.content.type, "ext4");
    }
  });

  it("a table without partitions", async () => {
    for (const label of ["gpt", "dos"]) {
      const path = workshop.disk(`none-${label}.img`, 8 * MiB, `label: ${label}\n`);
      const { content, partitions } = await inspect(path);
      assert.deepEqual([content, partitions], [contentByBlkid(path), []]);
      assert.equal(content.type, label);
    }
  });

  it("partitions that reach past the end of a truncated image are listed, their content unknown", async () => {
    const path = workshop.disk("truncated.img", 64 * MiB, "label: dos\n,8M\n,8M\n,8M\n");
    truncateSync(path, 12 * MiB);
    const { partitions, tableSize } = await inspect(path);
    assertLikeSfdisk(partitions, path);
    assert.equal(partitions.length, 3);
    assert.equal(partitions[2]?.content.kind, "other");
    assert.equal(tableSize, 25 * MiB);
  });

  it("a hybrid ISO is a file system that has a table, as for blkid", async () => {
    const path = workshop.fileSystem("iso");
    const { content, partitions } = await inspect(path);
    assert.deepEqual(content, contentByBlkid(path));
    assert.equal(content.type, "iso9660");
    assert.equal(content.label, "HYBRID");
    assertLikeSfdisk(partitions, path);
    assert.equal(partitions[1]?.content.type, "vfat");
  });

  it("a vfat boot sector is no partition table, however much it looks like one", async () => {
    const path = workshop.fileSystem("vfat", "boot-sector");
    const { content, table } = await probeFile(path);
    assert.deepEqual(bytesOf(path, 510, 2), Buffer.from([0x55, 0xaa]));
    assert.equal(content.type, "vfat");
    assert.equal(table, undefined);
  });
});

describe("a GPT of which a copy is damaged", () => {
  const size = 32 * MiB;
  const last = size / 512 - 1;
  const sound = workshop.disk("sound.img", size, 'label: gpt\nsize=8M, name="one"\nsize=8M, name="two"\n');
  const damages: [string, (path: string) => void, PartitionTable["damaged"]][] = [
    ["neither", () => {}, undefined],
    ["the primary's header", (path) => damage(path, 1), "primary"],
    ["the primary's entries", (path) => overwrite(path, 2 * 512 + 3, Buffer.from("x")), "primary"],
    ["the primary wiped", (path) => overwrite(path, 512, Buffer.alloc(33 * 512)), "primary"],
    ["the backup's header", (path) => damage(path, last), "backup"],
    ["the backup's entries", (path) => overwrite(path, (last - 32) * 512 + 3, Buffer.from("x")), "backup"],
    ["the backup cut off", (path) => truncateSync(path, size - 512), "backup"],
  ];
  for (const [name, deed, expected] of damages) {
    it(`${name}: said, and the other is used`, async () => {
      const path = copyOf(sound, "damaged.img");
      deed(path);
      const { content, partitions, damaged, tableSize } = await inspect(path);
      assert.equal(damaged, expected);
      assert.equal(tableSize, statSync(path).size < size ? size : undefined);
      assert.equal(content.type, "gpt");
      assertLikeSfdisk(partitions, sound);
    });
  }

  it("both: a GPT without partitions", async () => {
    const path = copyOf(sound, "both.img");
    damage(path, 1);
    damage(path, last);
    const { content, partitions, damaged } = await inspect(path);
    assert.deepEqual([content.kind, content.type, partitions, damaged], ["partitionTable", "gpt", [], "both"]);
  });

  it("an image that was cut off before what its table calls usable has no usable copy, as for the kernel", async () => {
    const path = copyOf(sound, "cut-off.img");
    truncateSync(path, size - MiB);
    const { content, partitions, damaged, tableSize } = await inspect(path);
    assert.deepEqual([content.kind, content.type, partitions, damaged], ["partitionTable", "gpt", [], "both"]);
    assert.equal(tableSize, size);
    // As sfdisk and blkid: they see nothing but the protective MBR that every GPT has.
    assert.equal(sfdisk(path).label, "dos");
    assert.equal(blkid(path)?.PTTYPE, "PMBR");
  });

  it("an image that has grown since has its backup where the primary says", async () => {
    const path = copyOf(sound, "grown.img");
    truncateSync(path, size + 8 * MiB);
    const { partitions, damaged, tableSize } = await inspect(path);
    assert.equal(damaged, undefined);
    assert.equal(tableSize, undefined);
    assert.equal(partitions.length, 2);
  });

  it("one of 4096-byte sectors", async () => {
    const path = workshop.disk("damaged-4k.img", size, "label: gpt\n,8M\n", 4096);
    assert.equal((await inspect(path, { sectorSize: 4096 })).damaged, undefined);
    damage(path, 1, 4096);
    const { partitions, damaged } = await inspect(path, { sectorSize: 4096 });
    assert.deepEqual([partitions.length, damaged], [1, "primary"]);
  });

  it("claims that no table can meet are not followed", async () => {
    const path = copyOf(sound, "claims.img");
    const claims = Buffer.alloc(8, 0xff);
    overwrite(path, 512 + 80, claims);
    assert.equal((await inspect(path)).damaged, "primary");
    overwrite(path, 512 + 32, claims);
    overwrite(path, 512 + 72, claims);
    assert.equal((await inspect(path)).damaged, "primary");
  });
});

describe("probeSectorSize", () => {
  const probeSize = (path: string, offset = 0) => {
    using file = openFile(path, O_RDONLY);
    return probeSectorSize(file, offset);
  };

  it("is that of the GPT's header, also behind an offset", () => {
    for (const sectorSize of [512, 1024, 2048, 4096]) {
      const inner = workshop.disk(`sectors-${sectorSize}.img`, 16 * MiB, "label: gpt\n,1M\n", sectorSize);
      assert.equal(probeSize(inner), sectorSize);
      const outer = workshop.blank(`sectors-${sectorSize}-behind.img`, 17 * MiB);
      workshop.put(outer, MiB, inner);
      assert.equal(probeSize(outer, MiB), sectorSize);
    }
  });

  it("is 512 where there is no GPT, or next to nothing", () => {
    assert.equal(probeSize(workshop.fileSystem("ext4", "no-gpt")), 512);
    assert.equal(probeSize(workshop.blank("tiny.img", 100)), 512);
    assert.equal(probeSize(workshop.disk("mbr-only.img", 8 * MiB, "label: dos\n,1M\n")), 512);
  });

  it("is refused where two are found", () => {
    const path = workshop.disk("two-tables.img", 16 * MiB, "label: gpt\n,1M\n", 4096);
    overwrite(path, 512, bytesOf(path, 4096, 92));
    assert.throws(
      () => probeSize(path),
      (error) => error instanceof Problem && /512 and 4096/.test(error.message),
    );
  });
});
