import assert from "node:assert/strict";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { dirname } from "node:path";
import * as vscode from "vscode";
import { MiB } from "../../images";
import { loopOf, loopsUnder } from "../loops";
import { attach, detach, workshop } from "./place";
import { allMessages, itemOf, messageLike } from "./window";

describe("Attach is refused in words that help", () => {
  const shop = workshop();

  async function refused(path: string, reason: RegExp): Promise<void> {
    await attach(path);
    const { kind, buttons } = await messageLike(reason);
    assert.equal(kind, "error");
    assert.deepEqual(buttons, ["Show Log"]);
    assert.deepEqual(loopsUnder(shop().folder), []);
  }

  it("a folder", async () => {
    mkdirSync(shop().path("folder"));
    await refused(shop().path("folder"), /folder is a folder\. Only a file or a block device can be attached\.$/);
  });

  it("a socket", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(shop().path("socket"), resolve));
    try {
      await refused(shop().path("socket"), /socket is a socket\. Only a file or a block device can be attached\.$/);
    } finally {
      server.close();
    }
  });

  it("a file that is not there", async () => {
    await refused(
      shop().path("missing.img"),
      /^There is no file .*missing\.img\. It may have been moved or deleted\.$/,
    );
  });

  it("an empty file", async () => {
    await refused(shop().blank("empty.img", 0), /empty\.img is empty, so there is nothing to attach\./);
  });

  it("a file of less than a sector", async () => {
    await refused(shop().blank("tiny.img", 511), /tiny\.img has less than one sector/);
  });

  it("what is no file on this machine", async () => {
    const file = vscode.Uri.parse("untitled:image");
    await vscode.commands.executeCommand("diskloom.attach", file, [file]);
    await messageLike(/^image is not a file on this machine/);
  });

  it("a name that is no UTF-8, as the explorer tells it", async () => {
    const folder = shop().path("names");
    mkdirSync(folder);
    writeFileSync(
      Buffer.concat([Buffer.from(`${folder}/bad`), Buffer.of(0xff), Buffer.from(".img")]),
      "x".repeat(1024),
    );
    const [[name] = []] = await vscode.workspace.fs.readDirectory(vscode.Uri.file(folder));
    assert.ok(name !== undefined && readdirSync(folder).length === 1);
    await refused(`${folder}/${name}`, /isn't valid UTF-8, so it can't be asked for by name\. Rename the file/);
  });
});

describe("Attach copes with", () => {
  const shop = workshop();

  it("a size that is no multiple of a sector: the tail is named", async () => {
    const image = shop().blank("odd.img", MiB + 100);
    await attach(image);
    const { kind, text } = await messageLike(/odd\.img/);
    assert.equal(kind, "warning");
    assert.match(text, /^odd\.img is attached as loop\d+\. Its last 100 bytes fill no sector and can't be reached\.$/);
    assert.ok(loopOf(image));
  });

  for (const [what, name] of [
    ["spaces", "my disk  image .img"],
    ["a newline", "two\nlines.img"],
    ["quotes and shell's own characters", `"it's" $(touch x); & #?%20.img`],
    ["other scripts", "Ünïcödé 磁盘 💾.img"],
  ] as const) {
    it(`${what} in the path`, async () => {
      const image = shop().path(`${name}/${name}`);
      mkdirSync(dirname(image), { recursive: true });
      shop().blank(`${name}/${name}`, MiB);
      await attach(image);
      assert.deepEqual(
        allMessages().filter(({ kind }) => kind === "error"),
        [],
      );
      const item = await itemOf(image);
      assert.equal(loopsUnder(shop().folder).length, 1);
      await detach(item);
      assert.deepEqual(loopsUnder(shop().folder), []);
    });
  }
});
