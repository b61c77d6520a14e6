import assert from "node:assert/strict";
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { MiB } from "../images";
import { attached, letUdevLook, Scene } from "./scene";

describe("the list of devices", { concurrency: false }, () => {
  let scene: Awaited<ReturnType<typeof Scene.set>>;
  before(async () => {
    scene = await Scene.set();
  });
  after(() => scene[Symbol.asyncDispose]());

  async function listed(device: string) {
    const { devices } = await scene.helper.request("devices/list", {});
    const found = devices.find((it) => it.device === device);
    assert.ok(found?.kind === "loop", `${device} isn't listed`);
    return found;
  }

  it("tells what a device shows, also where its image doesn't have that yet", async () => {
    const fileSystem = readFileSync(scene.workshop.fileSystem("ext4", "written"));
    const path = scene.workshop.blank("unwritten.img", fileSystem.length);
    const { device } = await attached(scene.helper, { path });
    assert.equal((await listed(device)).content.kind, "empty");
    const fd = openSync(device, "r+");
    try {
      // It stays in the device's page cache as long as nobody writes that back.
      writeSync(fd, fileSystem, 0, MiB, 0);
      assert.equal((await listed(device)).content.type, "ext4");
    } finally {
      closeSync(fd);
    }
    await scene.helper.request("loop/detach", { device });
  });

  it("tells what was there while a device is open, though its image has changed under it", async () => {
    const path = scene.workshop.fileSystem("ext4", "kept");
    const { device } = await attached(scene.helper, { path, directIo: false });
    letUdevLook();
    const fd = openSync(device, "r");
    try {
      // Now it is in the device's page cache, and stays.
      readFileSync(fd);
      const image = openSync(path, "r+");
      writeSync(image, Buffer.alloc(MiB), 0, MiB, 0);
      closeSync(image);
      assert.equal((await listed(device)).content.type, "ext4");
    } finally {
      closeSync(fd);
    }
    assert.notEqual((await listed(device)).content.type, "ext4");
    await scene.helper.request("loop/detach", { device });
  });

  it("tells what a part of an image shows", async () => {
    const fileSystem = readFileSync(scene.workshop.fileSystem("ext4", "inner"));
    const path = scene.workshop.blank("outer.img", 3 * MiB + fileSystem.length);
    const image = openSync(path, "r+");
    writeSync(image, fileSystem, 0, fileSystem.length, MiB);
    closeSync(image);
    const { device } = await attached(scene.helper, { path, offset: MiB, sizeLimit: fileSystem.length });
    const { content, size } = await listed(device);
    assert.deepEqual([content.type, content.label, size], ["ext4", "Ext Label", fileSystem.length]);
    await scene.helper.request("loop/detach", { device });
  });

  it("has the partitions of each device, and what stands on them", async () => {
    const path = scene.workshop.disk("parts.img", 16 * MiB, "label: gpt\nsize=4M\nsize=4M\n");
    const below = await attached(scene.helper, { path });
    letUdevLook();
    const above = await attached(scene.helper, { path: `${below.device}p2`, readOnly: true });
    const { partitions, holders } = await listed(below.device);
    assert.deepEqual(
      partitions.map(({ device, number, holders }) => [device, number, holders]),
      [
        [`${below.device}p1`, 1, []],
        [`${below.device}p2`, 2, [above.device]],
      ],
    );
    assert.deepEqual(holders, []);
    assert.deepEqual((await listed(above.device)).partitions, []);
    await scene.helper.request("loop/detach", { device: above.device });
    await scene.helper.request("loop/detach", { device: below.device });
  });
});
