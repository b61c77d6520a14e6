import assert from "node:assert/strict";
import {
  closeSync,
  copyFileSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  utimesSync,
  writeSync,
} from "node:fs";
import { after, before, describe, it } from "node:test";
import koffi from "koffi";
import { addPartition } from "../../helper/linux/blkpg";
import { O_RDONLY, openFile } from "../../helper/linux/file";
import type { LoopDevice } from "../../helper/protocol";
import { openedBy } from "../descriptors";
import { MiB, run } from "../images";
import { attached, imageOf, Scene, succeeds, until } from "./scene";

// From so many on, the list is made by a thread of its own, which looks only briefly at what it has described before.
const MANY = 128;

describe("the list of very many devices", { concurrency: false }, () => {
  let scene: Awaited<ReturnType<typeof Scene.set>>;
  let fileSystem: string;
  const blank: LoopDevice[] = [];
  before(async () => {
    scene = await Scene.set();
    fileSystem = scene.workshop.fileSystem("ext4", "content");
    for (let number = 0; number < MANY; number++) {
      blank.push(await attached(scene.helper, { path: scene.workshop.blank(`${number}.img`, 4 * MiB) }));
    }
  });
  after(() => scene[Symbol.asyncDispose]());

  async function list() {
    return new Map((await scene.helper.request("devices/list", {})).devices.map((device) => [device.device, device]));
  }

  async function listed(device: string): Promise<LoopDevice> {
    const found = (await list()).get(device);
    assert.ok(found?.kind === "loop", `${device} isn't listed`);
    return found;
  }

  /** A device that has been listed more than once, so that it is known. */
  async function known(name: string, content = fileSystem): Promise<LoopDevice & { image: string }> {
    const image = scene.workshop.path(name);
    copyFileSync(content, image);
    const device = await attached(scene.helper, { path: image, directIo: false });
    await list();
    assert.deepEqual(await listed(device.device), device);
    return { ...device, image };
  }

  it("says of each what was said when it was attached, in the order of their numbers", async () => {
    for (let round = 0; round < 3; round++) {
      const devices = await list();
      for (const device of blank) {
        assert.deepEqual(devices.get(device.device), device);
      }
      const numbers = [...devices.values()].flatMap((device) => (device.kind === "loop" ? [device.number] : []));
      assert.deepEqual(
        numbers,
        [...numbers].sort((a, b) => a - b),
      );
    }
  });

  const zeros = Buffer.alloc(MiB);
  const ways: [string, (image: string, device: string) => void][] = [
    ["by write(2)", (image) => overwrite(image, zeros)],
    ["by direct I/O", (image) => run("dd", ["if=/dev/zero", `of=${image}`, "bs=1M", "count=1", ...direct])],
    ["through the device", (_, device) => overwrite(device, zeros)],
    ["by a hole", (image) => run("fallocate", ["--punch-hole", "--offset", "0", "--length", `${MiB}`, image])],
    ["by a mapping", (image) => overwriteMapped(image, zeros.length)],
  ];
  for (const [way, change] of ways) {
    it(`tells what an image has now, changed ${way} and with its old times`, async () => {
      const { device, image } = await known("changed.img");
      const before = await listed(device);
      assert.equal(before.content.type, "ext4");
      change(image, device);
      utimesSync(image, 1, 1);
      assert.notEqual((await listed(device)).content.type, "ext4");
      overwrite(image, readFileSync(fileSystem).subarray(0, MiB));
      assert.deepEqual(await listed(device), before);
      await scene.helper.request("loop/detach", { device });
    });
  }

  it("tells what a blank image has got, also while only the device has it", async () => {
    const { device } = blank[0] as LoopDevice;
    assert.equal((await listed(device)).content.kind, "empty");
    const fd = openSync(device, "r+");
    try {
      writeSync(fd, readFileSync(fileSystem), 0, MiB, 0);
      assert.equal((await listed(device)).content.type, "ext4");
    } finally {
      closeSync(fd);
    }
    assert.equal((await listed(device)).content.type, "ext4");
    overwrite(device, zeros);
    assert.equal((await listed(device)).content.kind, "empty");
  });

  it("tells where an image is now, and that it is gone", async () => {
    const { device, image } = await known("here.img");
    const elsewhere = scene.workshop.path("elsewhere.img");
    renameSync(image, elsewhere);
    assert.equal((await listed(device)).backingFile, elsewhere);
    copyFileSync(fileSystem, image);
    assert.equal((await listed(device)).backingFile, elsewhere);
    renameSync(image, elsewhere);
    assert.equal((await listed(device)).backingFileDeleted, true);
    await scene.helper.request("loop/detach", { device });
  });

  it("tells what another program has set", async () => {
    const { device, image } = await known("settings.img");
    const other = await scene.helperWith();
    const changes = [
      ["reference", "new"],
      ["autoclear", true],
      ["autoclear", false],
      ["offset", 8192],
      ["sizeLimit", MiB],
      ["sectorSize", 1024],
    ] as const;
    for (const [name, value] of changes) {
      await other.request("loop/update", { device, [name]: value });
      assert.equal((await listed(device))[name], value);
    }
    run("blockdev", ["--setro", device]);
    assert.equal((await listed(device)).readOnly, true);
    run("losetup", ["--detach", device]);
    await until(() => imageOf(device) === undefined, "nobody else has a look at the device");
    assert.equal((await list()).get(device), undefined);
    run("losetup", [device, image]);
    assert.equal((await listed(device)).content.type, "ext4");
    run("losetup", ["--detach", device]);
  });

  it("tells of mounts, partitions, and what stands on a device, and when they have gone", async () => {
    const before = await known("used.img");
    const { device } = before;
    const target = scene.mount(device, "mnt");
    assert.deepEqual(
      (await listed(device)).mounts.map((mount) => mount.target),
      [target],
    );
    run("umount", [target]);
    run("addpart", [device, "1", "2048", "2048"]);
    assert.equal((await listed(device)).partitions.length, 1);
    await until(() => succeeds(() => run("delpart", [device, "1"])), "nobody else has a look at the partition");
    const above = await attached(scene.helper, { path: device, readOnly: true, overlap: "allow", offset: 4096 });
    assert.deepEqual((await listed(device)).holders, [above.device]);
    await scene.helper.request("loop/detach", { device: above.device });
    assert.deepEqual((await listed(device)).holders, []);
    await scene.helper.request("loop/detach", { device });
  });

  it("is as quick to answer many at once, each with the whole list", async () => {
    const answers = await Promise.all(Array.from({ length: 8 }, () => scene.helper.request("devices/list", {})));
    for (const { devices } of answers) {
      assert.ok(blank.every(({ device }) => devices.some((it) => it.device === device)));
    }
  });

  /** The devices and images that the helper has open. */
  const opened = () =>
    openedBy(scene.helper.process.pid).filter(
      (path) => /^\/dev\/(loop\d|mapper)/.test(path) || path.startsWith(scene.folder),
    );

  it("leaves nothing open when the thread runs out of memory", async () => {
    const devices: string[] = [];
    for (let number = 0; number < 20; number++) {
      const path = scene.workshop.blank(`parts${number}.img`, 64 * MiB);
      const { device } = await attached(scene.helper, { path });
      using loop = openFile(device, O_RDONLY);
      for (let part = 1; part <= 250; part++) {
        await addPartition(loop, { number: part, start: BigInt(part * 65536), length: 65536n });
      }
      devices.push(device);
    }
    const all = await list();
    assert.ok(devices.every((device) => all.has(device)));
    assert.match(scene.helper.errors, /ERR_WORKER_OUT_OF_MEMORY/);
    await until(() => opened().length === 0, "nothing left open");
    for (const device of devices) {
      await scene.helper.request("loop/detach", { device });
    }
    // By a new thread.
    await list();
  });

  it("goes back to one thread when most have gone", async () => {
    const threads = () => readdirSync(`/proc/${scene.helper.process.pid}/task`).length;
    const most = threads();
    for (const { device } of blank.splice(0, MANY - 1)) {
      await scene.helper.request("loop/detach", { device });
    }
    // Another run on this machine may have many, too.
    if ((await list()).size < MANY / 2) {
      await until(() => threads() < most, "one thread less");
    }
    assert.ok((await list()).has(blank[0]?.device ?? ""));
  });
});

const direct = ["oflag=direct", "conv=notrunc", "status=none"];

function overwrite(path: string, bytes: Uint8Array): void {
  const fd = openSync(path, "r+");
  writeSync(fd, bytes, 0, bytes.length, 0);
  closeSync(fd);
}

function overwriteMapped(path: string, length: number): void {
  const program = koffi.load(null);
  const mmap = program.func("void *mmap(void *at, size_t length, int protection, int flags, int fd, long offset)");
  const memset = program.func("void *memset(void *bytes, int value, size_t length)");
  const munmap = program.func("int munmap(void *bytes, size_t length)");
  const [PROT_READ_WRITE, MAP_SHARED] = [3, 1];
  const fd = openSync(path, "r+");
  const bytes: unknown = mmap(null, length, PROT_READ_WRITE, MAP_SHARED, fd, 0);
  memset(bytes, 0, length);
  munmap(bytes, length);
  closeSync(fd);
}
