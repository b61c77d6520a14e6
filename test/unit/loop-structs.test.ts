import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { after, describe, it } from "node:test";
import {
  addPartition,
  BLKPG_IOCTL_ARG_SIZE,
  BLKPG_PARTITION_SIZE,
  deletePartition,
  encodeBlkpgPartition,
  resizePartition,
} from "../../helper/linux/blkpg";
import * as block from "../../helper/linux/block";
import { O_RDONLY, openFile } from "../../helper/linux/file";
import { type Ioctl, interposeIoctl } from "../../helper/linux/libc";
import * as loop from "../../helper/linux/loop";
import { run, Workshop } from "../images";

const settings = { offset: 0x1122334455n, sizeLimit: 0x66778899aan, flags: 29, reference: "ref" };

describe("structs and numbers, against the kernel's headers", () => {
  const workshop = new Workshop();
  after(() => workshop[Symbol.dispose]());

  /** Compiles and runs a C program that prints expressions; "name value" lines. */
  function ask(expressions: Record<string, string>): Record<string, number> {
    const prints = Object.entries(expressions).map(
      ([name, expression]) => `printf("%s %lld\\n", "${name}", (long long)(${expression}));`,
    );
    const source = workshop.path("ask.c");
    writeFileSync(
      source,
      `#include <stddef.h>\n#include <stdio.h>\n#include <linux/loop.h>\n#include <linux/blkpg.h>\n#include <linux/fs.h>\n` +
        `int main(void) { ${prints.join("\n")} return 0; }\n`,
    );
    run("cc", ["-o", workshop.path("ask"), source]);
    const lines = run(workshop.path("ask"), []).trim().split("\n");
    return Object.fromEntries(lines.map((line) => line.split(" ")).map(([name, value]) => [name, Number(value)]));
  }

  const offsets = (struct: string, fields: object) =>
    Object.fromEntries(Object.keys(fields).map((field) => [field, `offsetof(struct ${struct}, ${field})`]));

  it("struct loop_info64 and struct loop_config", () => {
    assert.deepEqual(ask({ size: "sizeof(struct loop_info64)" }), { size: loop.LOOP_INFO_SIZE });
    assert.deepEqual(ask({ size: "sizeof(struct loop_config)" }), { size: loop.LOOP_CONFIG_SIZE });
    assert.deepEqual(ask(offsets("loop_info64", loop.loopInfoOffsets)), loop.loopInfoOffsets);
    assert.deepEqual(ask(offsets("loop_config", loop.loopConfigOffsets)), loop.loopConfigOffsets);
    assert.deepEqual(ask({ name: "sizeof(((struct loop_info64 *)0)->lo_file_name)" }), { name: loop.LO_NAME_SIZE });
  });

  it("a whole struct loop_config as C fills it in", () => {
    const source = workshop.path("fill.c");
    writeFileSync(
      source,
      `#include <stdio.h>\n#include <string.h>\n#include <linux/loop.h>\n` +
        `int main(void) { struct loop_config c; memset(&c, 0, sizeof c); c.fd = -1; c.block_size = 4096;\n` +
        `c.info.lo_offset = ${settings.offset}; c.info.lo_sizelimit = ${settings.sizeLimit}; c.info.lo_flags = 29;\n` +
        `strcpy((char *)c.info.lo_file_name, "ref"); fwrite(&c, sizeof c, 1, stdout); return 0; }\n`,
    );
    run("cc", ["-o", workshop.path("fill"), source]);
    run("sh", ["-c", '"$0" >"$1"', workshop.path("fill"), workshop.path("bytes")]);
    const ours = loop.encodeLoopConfig({ file: undefined, blockSize: 4096, settings });
    assert.deepEqual(ours, readFileSync(workshop.path("bytes")));
  });

  it("what is encoded is decoded again, the longest reference too", () => {
    const longest = { ...settings, reference: "x".repeat(63) };
    const { offset, sizeLimit, flags, reference } = loop.decodeLoopInfo(loop.encodeLoopInfo(longest));
    assert.deepEqual({ offset, sizeLimit, flags, reference }, longest);
  });

  it("struct blkpg_partition and struct blkpg_ioctl_arg", () => {
    assert.deepEqual(ask({ arg: "sizeof(struct blkpg_ioctl_arg)", part: "sizeof(struct blkpg_partition)" }), {
      arg: BLKPG_IOCTL_ARG_SIZE,
      part: BLKPG_PARTITION_SIZE,
    });
    const places = ask(offsets("blkpg_partition", { start: 0, length: 0, pno: 0 }));
    const bytes = encodeBlkpgPartition({ number: 7, start: 0x1234567890n, length: 0x987654321n });
    assert.equal(bytes.readBigInt64LE(places.start), 0x1234567890n);
    assert.equal(bytes.readBigInt64LE(places.length), 0x987654321n);
    assert.equal(bytes.readInt32LE(places.pno), 7);
    assert.deepEqual(ask(offsets("blkpg_ioctl_arg", { op: 0, flags: 0, datalen: 0, data: 0 })), {
      op: 0,
      flags: 4,
      datalen: 8,
      data: 16,
    });
  });

  it("the flags", () => {
    const { LO_FLAGS_READ_ONLY, LO_FLAGS_AUTOCLEAR, LO_FLAGS_PARTSCAN, LO_FLAGS_DIRECT_IO } = loop;
    const ours = { LO_FLAGS_READ_ONLY, LO_FLAGS_AUTOCLEAR, LO_FLAGS_PARTSCAN, LO_FLAGS_DIRECT_IO };
    assert.deepEqual(ask(Object.fromEntries(Object.keys(ours).map((name) => [name, name]))), ours);
  });

  it("the number of every ioctl that is made", async () => {
    const made = new Map<string, Ioctl>();
    using file = openFile("/dev/null", O_RDONLY);
    const take = (ioctl: Ioctl) => {
      made.set(ioctl.what[0], ioctl);
      return 0;
    };
    using _layer = interposeIoctl(() => ({ sync: take, async: async (ioctl) => take(ioctl) }));
    const partition = { number: 1, start: 0n, length: 0n };
    loop.getStatus(file);
    await loop.configure(file, { file, blockSize: 512, settings });
    await loop.setFd(file, file);
    await loop.setStatus(file, settings);
    await loop.clearFd(file);
    await loop.setCapacity(file);
    await loop.setDirectIo(file, true);
    await loop.setBlockSize(file, 512);
    await loop.getFree(file);
    await loop.addDevice(file, 1);
    await loop.removeDevice(file, 1);
    block.deviceSize(file);
    block.sectorSize(file);
    block.isReadOnly(file);
    block.diskSequence(file);
    await block.flushBuffers(file);
    await block.rereadPartitions(file);
    await addPartition(file, partition);
    await deletePartition(file, 1);
    await resizePartition(file, partition);
    const blkpg = [...made].filter(([name]) => name.startsWith("BLKPG_"));
    assert.equal(blkpg.length, 3);
    const operations = ask(Object.fromEntries(blkpg.map(([name]) => [name, name])));
    for (const [name, { request, argument }] of blkpg) {
      assert.equal(Buffer.from(argument as Uint8Array).readInt32LE(0), operations[name], name);
      assert.equal(request, ask({ BLKPG: "BLKPG" }).BLKPG);
      made.delete(name);
    }
    const numbers = ask(Object.fromEntries([...made.keys()].map((name) => [name, name])));
    assert.equal(made.size, 17);
    for (const [name, { request }] of made) {
      assert.equal(request, numbers[name], name);
    }
  });
});
