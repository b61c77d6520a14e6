/* What takes long can be cancelled, at once and with nothing left half. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { CancellationTokenSource } from "vscode-jsonrpc/node";
import type { Method, Params } from "../../helper/protocol";
import { openedBy } from "../descriptors";
import type { TestHelper } from "../helper";
import { MiB } from "../images";
import { attached, imageOf, pattern, Scene, sys, until } from "./scene";

/** How long the kernel's slow calls take here; cancelled is what is answered before. Nobody waits for their end. */
const SLOW_SECONDS = 60;
/** By LSP. */
const CANCELLED = -32800;

describe("cancelling", { concurrency: false }, () => {
  let scene: Scene;
  let helper: TestHelper;
  before(async () => {
    ({ scene, helper } = await Scene.set().then((it) => ({ scene: it, helper: it.helper })));
  });
  after(() => scene[Symbol.asyncDispose]());

  /** A helper for which writing something down takes its time. */
  const helperWithSlow = (call: "fsync" | "syncfs") => {
    const inject = `inject=${call}:delay_enter=${SLOW_SECONDS}s`;
    const log = scene.workshop.path("strace.log");
    return scene.helperWith({ command: ["strace", "-f", "-o", log, "-e", `trace=${call}`, "-e", inject] });
  };

  /** By itself it ends when all is written, and what Node syncs of its own at its end is as slow; so is strace(1). */
  const killSlow = async (slow: TestHelper) => {
    const { pid } = await slow.request("helper/info", {});
    process.kill(pid, "SIGKILL");
    await slow.kill();
  };

  /** Asks for something, and cancels it once it says that it does this. @returns what was answered */
  async function cancelAt<M extends Method>(
    asked: TestHelper,
    doing: string,
    method: M,
    params: Params<M>,
  ): Promise<unknown> {
    const source = new CancellationTokenSource();
    const said: string[] = [];
    const listening = asked.connection.onNotification("$/progress", ({ value }) => {
      said.push(value.title ?? value.message ?? "");
    });
    const sent = { ...params, workDoneToken: "cancelling" } as Params<M>;
    const answer = asked.request(method, sent, source.token).catch((error: unknown) => error);
    await Promise.race([answer, until(() => said.includes(doing), `“${doing}”, of ${said}`, 60_000)]);
    source.cancel();
    const answered = await answer;
    listening.dispose();
    return answered;
  }

  it("a copy into memory: no device, and no memory", async () => {
    const path = scene.workshop.blank("large.img", 4096 * MiB);
    writeFileSync(path, pattern(64 * MiB, 1), { flag: "r+" });
    const inMemory = () => openedBy(helper.process.pid).filter((opened) => opened.startsWith("/memfd:"));
    const answer = await cancelAt(helper, "Copying large.img into memory", "loop/attach", { path, inMemory: true });
    assert.equal((answer as { code?: number }).code, CANCELLED);
    assert.deepEqual(scene.bound(), []);
    assert.deepEqual(inMemory(), []);
  });

  it("a flush: nobody waits for the kernel to have written all, and the device is as it was", async () => {
    const slow = await helperWithSlow("fsync");
    const { device, diskSequence } = await attached(slow, { path: scene.workshop.blank("flush.img", MiB) });
    const began = performance.now();
    const answer = await cancelAt(slow, "Writing the device", "loop/flush", { device });
    assert.equal((answer as { code?: number }).code, CANCELLED);
    assert.ok(performance.now() - began < SLOW_SECONDS * 1000, "it waited until all was written");
    assert.equal(Number(sys(device, "diskseq")), diskSequence);
    await killSlow(slow);
    await helper.request("loop/detach", { device });
  });

  it("a detach that waits for a user: attached as before, and not to go with its last user", async () => {
    const path = scene.workshop.blank("waiting.img", MiB);
    const { device } = await attached(helper, { path });
    const child = spawn("sh", ["-c", `exec 3<${device}; echo ready; read _`], { stdio: ["pipe", "pipe", "inherit"] });
    await new Promise((resolve) => child.stdout.once("data", resolve));
    try {
      let answer: unknown;
      // It waits for a second, and is refused then: on a machine that stood still so long there is one more try.
      for (let tries = 0; tries < 5 && (answer as { code?: number })?.code !== CANCELLED; tries++) {
        answer = await cancelAt(helper, "Writing what is not on the disk yet", "loop/detach", { device });
        assert.equal(imageOf(device), path);
        assert.equal(sys(device, "loop/autoclear"), "0");
      }
      assert.equal((answer as { code?: number }).code, CANCELLED);
    } finally {
      child.stdin.end();
      await new Promise((resolve) => child.once("exit", resolve));
    }
    await helper.request("loop/detach", { device });
  });

  it("unmounting while data is written down, with and without detaching: all stays mounted", async () => {
    const slow = await helperWithSlow("syncfs");
    const { device } = await attached(slow, { path: scene.workshop.fileSystem("ext4", "dirty") });
    const target = scene.mount(device, "dirty-mount");
    const isMounted = () => readFileSync("/proc/self/mounts", "utf8").includes(` ${target} `);
    writeFileSync(`${target}/file`, "not written yet");
    const began = performance.now();
    for (const [method, params] of [
      ["mount/unmount", { device, confirmForeign: true }],
      ["loop/detach", { device, whenBusy: "unmount" }],
    ] as const) {
      const answer = await cancelAt(slow, "Writing what is not on the disk yet", method, params);
      assert.equal((answer as { code?: number }).code, CANCELLED, method);
      assert.ok(isMounted() && imageOf(device) !== undefined, method);
    }
    assert.ok(performance.now() - began < SLOW_SECONDS * 1000, "it waited until all was written");
    await killSlow(slow);
    await helper.request("loop/detach", { device, whenBusy: "unmount" });
    assert.equal(imageOf(device), undefined);
  });
});
