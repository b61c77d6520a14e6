import assert from "node:assert/strict";
import { closeSync, openSync, readFileSync, readSync, writeSync } from "node:fs";
import { basename } from "node:path";
import * as vscode from "vscode";
import { MiB } from "../../images";
import { loopOf, loopsUnder, losetup, losetupDetach } from "../loops";
import { until } from "../until";
import { attach, attached, detach, flush, workshop } from "./place";
import { allMessages, devicesInTree, itemOf, messageLike, statusLike, untilGone, willPress } from "./window";

describe("Attach, flush and detach", () => {
  const shop = workshop();

  it("an ext4 image, with losetup and /sys agreeing at every step", async () => {
    const image = shop().fileSystem("ext4", "rootfs");
    await attach(image);
    const loop = loopOf(image);
    assert.ok(loop, "losetup doesn't show it");
    assert.equal(loop.readOnly, false);
    assert.equal(loop.autoclear, false);
    const name = basename(loop.device);
    assert.equal(readFileSync(`/sys/block/${name}/loop/backing_file`, "utf8"), `${image}\n`);
    const said = await messageLike(/is attached as/);
    assert.deepEqual(said, {
      kind: "information",
      text: `rootfs.ext4 is attached as ${name}.`,
      buttons: ["Show Device"],
    });
    const item = await until("the device as it stays", async () => {
      // Until just now it was to go with its last user, lest it outlive a helper that is killed.
      const shown = await itemOf(image);
      assert.match(String(shown.description), /^rootfs\.ext4 · 4 MiB · ext4 “Ext Label”$/);
      return shown;
    });
    assert.equal(item.label, name);

    // Kept open: the last one who closes a block device writes its data down, and it is to be us who do.
    const device = openSync(loop.device, "r+");
    try {
      writeSync(device, "written through the device", 2 * MiB);
      await flush(item);
      await statusLike(/flushed/);
      assert.equal(textAt(image, 2 * MiB, 26), "written through the device");
    } finally {
      closeSync(device);
    }

    await detach(item);
    assert.equal(loopOf(image), undefined);
    await statusLike(/detached/);
    await untilGone(image);
  });

  it("several images at once, and none waits for what is said of the others", async () => {
    const images = ["one", "two", "three"].map((name) => shop().blank(`${name}.img`, MiB));
    await attach(...images);
    assert.deepEqual(
      loopsUnder(shop().folder)
        .map(({ image }) => basename(image))
        .sort(),
      ["one.img", "three.img", "two.img"],
    );
    for (const image of images) {
      await detach(await itemOf(image));
    }
    assert.deepEqual(loopsUnder(shop().folder), []);
  });

  it("the same image twice: refused, with a way to the device that has it", async () => {
    const image = shop().blank("twice.img", MiB);
    const device = await attached(image);
    await attach(image);
    const { kind, buttons } = await messageLike(new RegExp(`${device}\\b.*`));
    assert.equal(kind, "error");
    assert.deepEqual(buttons, ["Show Device", "Show Log"]);
    assert.equal(loopsUnder(shop().folder).length, 1);
  });

  it("what others do in a terminal shows by itself", async () => {
    const image = shop().blank("outside.img", MiB);
    await vscode.commands.executeCommand("diskloom.devices.focus");
    const device = losetup(image);
    assert.equal((await itemOf(image)).label, basename(device));
    await losetupDetach({ device, image });
    await untilGone(image);
  });

  it("somebody else's device is detached only after a yes", async () => {
    const image = shop().blank("foreign.img", MiB);
    const device = losetup(image);
    const item = await itemOf(image);
    await detach(item);
    const { kind, buttons } = await messageLike(/was set up by the system or another program/);
    assert.equal(kind, "warning");
    assert.deepEqual(buttons, ["Detach Anyway"]);
    assert.equal(loopOf(image)?.device, device, "detached without a yes");
    willPress("Detach Anyway");
    await detach(item);
    assert.equal(loopOf(image), undefined);
  });

  it("shows all devices that losetup shows", async () => {
    await attached(shop().blank("a.img", MiB));
    losetup(shop().blank("b.img", MiB));
    for (const { image } of loopsUnder(shop().folder)) {
      await itemOf(image);
    }
    assert.ok((await devicesInTree()).length >= 2);
    assert.ok(allMessages().every(({ kind }) => kind === "information"));
  });
});

function textAt(file: string, offset: number, length: number): string {
  const opened = openSync(file, "r");
  try {
    const bytes = Buffer.alloc(length);
    readSync(opened, bytes, 0, length, offset);
    return bytes.toString();
  } finally {
    closeSync(opened);
  }
}
