import assert from "node:assert/strict";
import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import * as vscode from "vscode";
import { MiB } from "../../images";
import { loopOf, loopsUnder } from "../loops";
import { until } from "../until";
import { has, lock, pidOfHelper } from "./helper";
import { attach, attached, detach, workshop } from "./place";
import { clearTreeMessage, itemOf, messageLike, treeMessage, untilGone } from "./window";

describe("A helper that is killed", () => {
  const shop = workshop();

  beforeEach(async () => {
    await vscode.commands.executeCommand("diskloom.refresh");
  });

  it("while idle is started again; the tree says so, and all devices stay", async () => {
    const image = shop().blank("idle.img", MiB);
    const device = await attached(image);
    await itemOf(image);
    const dead = await kill();
    await until("another helper", () => pidOfHelper() !== dead && pidOfHelper());
    await until("word of it above the tree", () => /ended unexpectedly and was started again/.test(treeMessage()));
    assert.equal(loopOf(image)?.device, device);
    await detach(await itemOf(image));
    assert.equal(loopOf(image), undefined);
    assert.equal(treeMessage(), "", "what was said of the helper stays for good");
  });

  it("again and again is given up; the tree says so, and Refresh tries once more", async () => {
    for (let time = 1; time <= 3; time++) {
      await kill();
      // Only said once the next one is ready: one that dies before has never been started.
      await until("word of another helper", () => /was started again/.test(treeMessage()));
      clearTreeMessage();
    }
    await kill();
    await until("word of it above the tree", () => /keeps ending and isn't started again/.test(treeMessage()));
    assert.equal(pidOfHelper(), undefined);
    await vscode.commands.executeCommand("diskloom.refresh");
    assert.ok(pidOfHelper());
    assert.equal(treeMessage(), "");
  });

  it("before it came to an attach leaves nothing behind", async () => {
    const image = shop().blank("unheard.img", MiB);
    process.kill(await until("a helper", pidOfHelper), "SIGSTOP");
    const answer = attach(image);
    await kill();
    await answer;
    const { kind } = await messageLike(/^The helper ended before it answered\./);
    assert.equal(kind, "error");
    assert.deepEqual(loopsUnder(shop().folder), []);
    await untilGone(image);
  });

  it("in the middle of a detach leaves the device as it was", async () => {
    const image = shop().blank("midway.img", MiB);
    const device = await attached(image);
    const item = await itemOf(image);
    // Detaching waits for whoever has the device locked.
    const holder = await lock(device);
    try {
      const answer = detach(item);
      await until("a detach under way", async () => {
        // Whoever lists devices has them open for a moment only.
        const before = has(device);
        await pause(100);
        return before && has(device);
      });
      await kill();
      await answer;
      await messageLike(/^The helper ended before it answered\./);
    } finally {
      holder.kill("SIGKILL");
      await once(holder, "exit");
    }
    assert.deepEqual(loopOf(image), { device, image, readOnly: false, autoclear: false });
    await detach(await itemOf(image));
    assert.equal(loopOf(image), undefined);
  });

  it("at any moment of an attach leaves the device whole, or none", async () => {
    const image = shop().fileSystem("ext4", "anytime");
    for (const delay of [0, 1, 2, 4, 8, 16]) {
      await vscode.commands.executeCommand("diskloom.refresh");
      const victim = await until("a helper", pidOfHelper);
      const answer = attach(image);
      await pause(delay);
      process.kill(victim, "SIGKILL");
      await answer;
      await until("its end", () => pidOfHelper() !== victim);
      await vscode.commands.executeCommand("diskloom.refresh");
      const left = loopOf(image);
      if (left) {
        assert.equal(left.autoclear, false, "half made");
        await detach(await itemOf(image));
      }
      assert.deepEqual(loopsUnder(shop().folder), []);
      await untilGone(image);
    }
  });
});

async function kill(): Promise<number> {
  const pid = await until("a helper", pidOfHelper);
  process.kill(pid, "SIGKILL");
  return pid;
}
