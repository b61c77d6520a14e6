/* The partitions of an image, of which several are looked at at once. */
import assert from "node:assert/strict";
import { chmodSync, closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { after, describe, it } from "node:test";
import { inspectImage } from "../../helper/content/inspect";
import { Contents } from "../../helper/content/parts";
import { withCredentials } from "../../helper/linux/credentials";
import { O_RDONLY, openFile } from "../../helper/linux/file";
import { Cancelled, uninterrupted } from "../../helper/pause";
import { openedBy } from "../descriptors";
import { MiB, Workshop } from "../images";

const workshop = new Workshop();
after(() => workshop[Symbol.dispose]());

const MANY = 130;
/** `union swap_header` in <linux/swap.h>: volume_name, 16 bytes. */
const SWAP_LABEL = 1052;

/** A disk with as many partitions, each of them swap space that has its number as its label. */
function manyPartitions(): string {
  const lines = Array.from({ length: MANY }, () => "size=1M");
  const path = workshop.disk("many.img", (MANY + 2) * MiB, ["label: gpt", "table-length: 136", ...lines].join("\n"));
  const swap = readFileSync(workshop.fileSystem("swap"));
  const fd = openSync(path, "r+");
  for (let number = 1; number <= MANY; number++) {
    swap.fill(0, SWAP_LABEL, SWAP_LABEL + 16);
    swap.write(`number ${number}`, SWAP_LABEL);
    writeSync(fd, swap, 0, swap.length, number * MiB);
  }
  closeSync(fd);
  return path;
}

const path = manyPartitions();
const labels = Array.from({ length: MANY }, (_, index) => `number ${index + 1}`);
const parts = labels.map((_, index) => ({ offset: (index + 1) * MiB, size: MiB }));

/** How many descriptors of ours refer to the image. */
function descriptors(): number {
  return openedBy("self").filter((opened) => opened === path).length;
}

describe("many partitions of an image", () => {
  it("each has its own content, also where the image is inspected several times at once", async () => {
    using file = openFile(path, O_RDONLY);
    using other = openFile(path, O_RDONLY);
    const inspect = (image: typeof file) =>
      inspectImage({ file: image, stat: image.stat() }, { offset: 0, sectorSize: "probe" }, uninterrupted);
    const all = await Promise.all([inspect(file), inspect(other), inspect(file)]);
    for (const { content, partitions, damaged } of all) {
      assert.deepEqual([content.type, damaged], ["gpt", undefined]);
      assert.deepEqual(
        partitions.map(({ content }) => [content.type, content.label]),
        labels.map((label) => ["swap", label]),
      );
    }
    assert.equal(descriptors(), 2);
  });

  it("are read by some threads at once, and not by all that there are", async () => {
    using file = openFile(path, O_RDONLY);
    const all = [1, 2, 3].map(() => new Contents(file, uninterrupted).of(parts));
    // Ours, and six more for the three of them.
    assert.equal(descriptors(), 7);
    await Promise.all(all);
    assert.equal(descriptors(), 1);
  });

  it("those that were begun with are not begun again, and who isn't asked for is left", async () => {
    using file = openFile(path, O_RDONLY);
    const looking = new Contents(file, uninterrupted);
    looking.begin(parts.slice(0, 3));
    assert.equal(descriptors(), 4);
    const asked = looking.of(parts.slice(0, 2));
    assert.equal(descriptors(), 4);
    assert.deepEqual(
      (await asked).map(({ label }) => label),
      labels.slice(0, 2),
    );
    assert.equal(descriptors(), 1);
    looking.begin(parts.slice(3));
    await looking.drop();
    assert.equal(descriptors(), 1);
    assert.deepEqual(
      (await looking.of(parts)).map(({ label }) => label),
      labels,
    );
  });

  it("who cancels is answered before the last one was looked at", async () => {
    using file = openFile(path, O_RDONLY);
    const cancelling = new AbortController();
    const looking = new Contents(file, cancelling.signal).of(parts);
    cancelling.abort();
    await assert.rejects(looking, Cancelled);
    // Nobody reads by them any more.
    assert.equal(descriptors(), 1);
  });

  it("where the image can't be opened once more, they are looked at one after the other", async () => {
    chmodSync(path, 0o600);
    using file = openFile(path, O_RDONLY);
    chmodSync(path, 0);
    const look = () => new Contents(file, uninterrupted).of(parts);
    const root = process.geteuid?.() === 0;
    const looking = root ? withCredentials({ uid: 65534, gid: 65534, groups: [] }, look) : look();
    assert.equal(descriptors(), 1);
    assert.deepEqual(
      (await looking).map(({ label }) => label),
      labels,
    );
  });
});
