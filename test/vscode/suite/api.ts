/* What another extension gets and can do. */
import assert from "node:assert/strict";
import { closeSync, openSync } from "node:fs";
import { basename } from "node:path";
import * as vscode from "vscode";
import type { DiskloomApi, DiskloomError, ErrorCode } from "../../../extension/api/types";
import { MiB } from "../../images";
import { loopOf, loopsUnder, losetup, losetupDetach } from "../loops";
import { until } from "../until";
import { extension } from "./extension";
import { workshop } from "./place";
import { allMessages, messageLike, willPress } from "./window";

describe("Another extension", () => {
  const shop = workshop();
  let api: DiskloomApi;

  before(async () => {
    api = (await extension().activate()) as DiskloomApi;
  });

  async function refused(code: ErrorCode, request: () => Promise<unknown>): Promise<DiskloomError> {
    let thrown: unknown;
    await request().catch((error) => {
      thrown = error;
    });
    assert.ok(thrown instanceof Error && "code" in thrown, `refused with ${thrown}`);
    assert.equal(thrown.code, code, thrown.message);
    return thrown as DiskloomError;
  }

  it("finds version 1", () => {
    assert.equal(api.version, 1);
    assert.equal(extension().exports, api);
  });

  it("attaches, lists and detaches an image, and has word of each", async () => {
    let changes = 0;
    const listening = api.onDidChangeDevices(() => changes++);
    try {
      const image = shop().disk("api.img", 8 * MiB, "label: gpt\nsize=4MiB, type=linux, name=root\n");
      const device = await api.attach(image);
      const loop = loopOf(image);
      assert.ok(loop);
      assert.equal(loop.readOnly, false);
      await until("word of the attach", () => changes > 0);

      assert.match(String(device.sequence), /^\d+$/);
      assert.deepEqual(device, {
        path: loop.device,
        sequence: device.sequence,
        image,
        imageDeleted: false,
        size: 8 * MiB,
        sectorSize: 512,
        offset: 0,
        sizeLimit: 0,
        readOnly: false,
        content: { kind: "partitionTable", type: "gpt", label: "", uuid: device.content.uuid },
        mounts: [],
        partitions: [
          {
            path: `${loop.device}p1`,
            number: 1,
            start: MiB,
            size: 4 * MiB,
            name: "root",
            content: { kind: "empty", type: "", label: "", uuid: "" },
            mounts: [],
          },
        ],
      });
      assert.deepEqual(
        (await api.list()).find(({ path }) => path === device.path),
        device,
      );

      const before = changes;
      assert.equal(await api.detach(device), "detached");
      assert.equal(loopOf(image), undefined);
      await until("word of the detach", () => changes > before);
      assert.ok((await api.list()).every((other) => other.image !== image));
    } finally {
      listening.dispose();
    }
    assert.deepEqual(allMessages(), []);
  });

  it("attaches a part of an image as it wants it", async () => {
    const image = shop().blank("part.img", 4 * MiB);
    const wish = { readOnly: true, offset: MiB, sizeLimit: 2 * MiB, sectorSize: 4096 } as const;
    const { path, ...device } = await api.attach(image, wish);
    assert.equal(device.size, 2 * MiB);
    assert.equal(device.sectorSize, 4096);
    assert.equal(loopOf(image)?.readOnly, true);
    assert.equal(await api.detach(path), "detached");
  });

  it("gets the device that has the image already, if it wants to share", async () => {
    const image = shop().blank("shared.img", MiB);
    const first = await api.attach(image);
    const { device } = await refused("overlap", () => api.attach(image));
    assert.equal(device, first.path);
    assert.deepEqual(await api.attach(image, { share: true }), first);
    assert.equal(loopsUnder(shop().folder).length, 1);
  });

  it("is told by a code what is wrong, and in a sentence", async () => {
    const { message } = await refused("notFound", () => api.attach(shop().path("missing.img")));
    assert.match(message, /^There is no file .*missing\.img/);
    await refused("invalid", () => api.attach("relative.img"));
    await refused("invalid", () => api.attach(shop().folder));
    await refused("invalid", () => api.detach("/dev/null"));
    await refused("notFound", () => api.detach("/dev/loop1048575"));
    assert.deepEqual(loopsUnder(shop().folder), []);
  });

  it("can't detach what has got another image since", async () => {
    const image = shop().blank("stale.img", MiB);
    const other = shop().blank("stale-other.img", MiB);
    await until("a device to recycle", async () => {
      const device = await api.attach(image);
      await losetupDetach({ device: device.path, image });
      // Fails where somebody else on this machine is quicker: then it is another device's turn.
      losetup(other, device.path);
      await refused("stale", () => api.detach(device));
      return true;
    });
    assert.ok(loopOf(other));
  });

  it("chooses what becomes of a device in use", async () => {
    const image = shop().blank("busy.img", MiB);
    const device = await api.attach(image);
    const user = openSync(device.path, "r");
    try {
      const { message } = await refused("busy", () => api.detach(device));
      assert.match(message, new RegExp(`^${device.path} is in use: open in `));
      assert.equal(await api.detach(device, { whenBusy: "later" }), "pending");
      assert.ok(loopOf(image));
    } finally {
      closeSync(user);
    }
    await until("the end of the device", () => loopOf(image) === undefined);
  });

  it("can't detach somebody else's device without the user's yes", async () => {
    const image = shop().blank("foreign-api.img", MiB);
    const device = losetup(image);
    await refused("cancelled", () => api.detach(device));
    const { buttons } = await messageLike(new RegExp(`^${device} was set up by the system or another program`));
    assert.deepEqual(buttons, ["Detach Anyway"]);
    assert.ok(loopOf(image), `${basename(image)} was detached`);
    willPress("Detach Anyway");
    assert.equal(await api.detach(device), "detached");
  });

  it("only looks where the workspace isn't trusted", async () => {
    const image = shop().blank("untrusted.img", MiB);
    Object.defineProperty(vscode.workspace, "isTrusted", { get: () => false, configurable: true });
    try {
      const { message } = await refused("notPrivileged", () => api.attach(image));
      assert.match(message, /in a workspace that you don't trust/);
      assert.ok(Array.isArray(await api.list()));
    } finally {
      Object.defineProperty(vscode.workspace, "isTrusted", { get: () => true, configurable: true });
    }
    assert.equal(loopOf(image), undefined);
  });
});
