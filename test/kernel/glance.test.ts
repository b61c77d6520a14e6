import assert from "node:assert/strict";
import {
  chmodSync,
  closeSync,
  fdatasync,
  linkSync,
  mkdirSync,
  openSync,
  renameSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeSync,
} from "node:fs";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { isAllHole, isHolePatiently } from "../../helper/content/hole";
import { O_RDONLY, openFile } from "../../helper/linux/file";
import { type Described, describedNow, Glances, isAsDescribed } from "../../helper/loop/glance";
import { KiB, MiB, run, type Workshop } from "../images";
import { attached, Scene } from "./scene";

const synced = promisify(fdatasync);
const BLOCK = Buffer.alloc(4 * KiB, 1);

const fileSystems: Record<string, (scene: Scene) => string> = {
  ext4: (scene) => scene.mount(scene.workshop.fileSystem("ext4", "host", 64 * MiB), "on", "-o", "loop"),
  xfs: (scene) => scene.mount(scene.workshop.fileSystem("xfs", "host"), "on", "-o", "loop"),
  tmpfs: (scene) => scene.mount("tmpfs", "on", "-t", "tmpfs"),
};

for (const [type, make] of Object.entries(fileSystems)) {
  describe(`a glance at a device whose image is a blank file on ${type}`, { concurrency: false }, () => {
    let scene: Awaited<ReturnType<typeof Scene.set>>;
    let folder: string;
    let workshop: Workshop;
    let devices = 0;
    before(async () => {
      scene = await Scene.set();
      workshop = scene.workshop;
      folder = make(scene);
      // The first of its kind is read after it was bound, and what was read stays in memory.
      await attached(scene.helper, { path: workshop.blank("on/first.img", 4 * MiB), directIo: false });
    });
    after(async () => {
      for (const device of scene.bound()) {
        await scene.helper.request("loop/detach", { device }).catch(() => {});
      }
      run("umount", [folder]);
      await scene[Symbol.asyncDispose]();
    });

    /** A device that a glance is enough for, and its image. */
    async function known(): Promise<{ image: string; device: string; known: Described }> {
      const within = `on/${++devices}`;
      mkdirSync(workshop.path(within));
      const image = workshop.blank(`${within}/blank.img`, 4 * MiB);
      const described = describedNow(await attached(scene.helper, { path: image, directIo: false }));
      assert.ok(described);
      assert.equal(isUntouched(described), false, "it was never looked into");
      await settle(described);
      return { image, device: described.attachment.device, known: described };
    }

    it("is enough as long as nothing is done to it", async () => {
      const { known: described } = await known();
      assert.ok(isUntouched(described));
      assert.ok(isUntouched(described));
    });

    it("is not enough while the kernel has something of the image in memory, which it may be about to write", async () => {
      const { image, known: described } = await known();
      run("cksum", [image]);
      // What is read of a hole on tmpfs is kept by nobody.
      assert.equal(isUntouched(described), type === "tmpfs");
      assert.ok(await isAsDescribed(described));
    });

    const changes: [string, (image: string, device: string) => void][] = [
      ["a block that is still to be allocated", (image) => write(image, 2 * MiB)],
      [
        "a block on the disk",
        (image) => run("dd", ["if=/dev/urandom", `of=${image}`, "bs=4k", "count=1", ...synchronous]),
      ],
      ["a block through the device", (_, device) => run("dd", ["if=/dev/urandom", `of=${device}`, "bs=4k", "count=1"])],
      ["blocks that are set aside", (image) => run("fallocate", ["--length", "64K", image])],
      [
        "a block that is gone again",
        (image) => {
          write(image, 0);
          run("fallocate", ["--punch-hole", "--offset", "0", "--length", "4M", image]);
        },
      ],
      ["a new size", (image) => run("truncate", ["--size", "8M", image])],
      ["new rights", (image) => chmodSync(image, 0o600)],
      ["another name", (image) => renameSync(image, `${image}.old`)],
      [
        "another file in its place",
        (image) => {
          renameSync(image, `${image}.old`);
          run("truncate", ["--size", "4M", image]);
        },
      ],
      ["no name any more", (image) => unlinkSync(image)],
      ["a second name", (image) => linkSync(image, `${image}.second`)],
      ["no image any more", (_, device) => run("losetup", ["--detach", device])],
      ["no right to be written to", (_, device) => run("blockdev", ["--setro", device])],
    ];
    for (const [what, change] of changes) {
      it(`is not enough when it has got ${what}, with its old times`, async () => {
        const { image, device, known: described } = await known();
        change(image, device);
        try {
          utimesSync(image, 1, 1);
        } catch {
          // It isn't there any more.
        }
        assert.equal(isUntouched(described), false);
      });
    }

    it("is enough again when what was written is taken away, and it was looked into", async () => {
      const { image, known: described } = await known();
      write(image, 0);
      assert.equal(await isAsDescribed(described), false);
      run("fallocate", ["--punch-hole", "--offset", "0", "--length", "4M", image]);
      assert.equal(isUntouched(described), false);
      await settle(described);
      assert.ok(isUntouched(described));
    });

    it("is not enough when the way to the image leads through a link", async () => {
      const { image, known: described } = await known();
      const before = image.slice(0, image.lastIndexOf("/"));
      renameSync(before, `${before}-elsewhere`);
      symlinkSync(`${before}-elsewhere`, before);
      assert.equal(isUntouched(described), false);
    });

    it("never takes a block that is just being written back for none", async () => {
      const { image, known: described } = await known();
      const fd = openSync(image, "r+");
      using glances = new Glances();
      using file = openFile(image, O_RDONLY);
      try {
        for (let round = 0; round < 300; round++) {
          writeSync(fd, BLOCK, 0, BLOCK.length, 0);
          let written = false;
          const writing = synced(fd).then(() => {
            written = true;
          });
          while (!written) {
            assert.equal(glances.isUntouched(described), false);
            // The moment is short: whoever looks all the time sees it in one writeback of five.
            for (let look = 0; look < 200; look++) {
              assert.equal(isAllHole(file), false);
            }
            assert.equal(await isHolePatiently(file, 0, 4 * MiB), false);
          }
          await writing;
          run("fallocate", ["--punch-hole", "--offset", "0", "--length", "4M", image]);
        }
      } finally {
        closeSync(fd);
      }
    });
  });
}

const synchronous = ["oflag=dsync", "conv=notrunc", "status=none"];

function isUntouched(described: Described): boolean {
  using glances = new Glances();
  return glances.isUntouched(described);
}

/** Looks into the image. */
async function settle(described: Described): Promise<void> {
  assert.ok(await isAsDescribed(described), "it isn't as described");
  assert.ok(isUntouched(described));
}

function write(image: string, position: number): void {
  const fd = openSync(image, "r+");
  writeSync(fd, BLOCK, 0, BLOCK.length, position);
  closeSync(fd);
}
