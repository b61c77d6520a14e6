/* Waiting for the loop driver's control device, which another program keeps locked: it can be given up at any time. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { CancellationTokenSource } from "vscode-jsonrpc/node";
import { openedBy } from "../descriptors";
import type { TestHelper } from "../helper";
import { MiB } from "../images";
import { Scene, until } from "./scene";

const CONTROL = "/dev/loop-control";
/** By LSP. */
const CANCELLED = -32800;

describe("the control device, locked by another program", { concurrency: false }, () => {
  let scene: Scene;
  let path: string;
  before(async () => {
    scene = await Scene.set();
    path = scene.workshop.blank("wanted.img", MiB);
  });
  after(() => scene[Symbol.asyncDispose]());

  const idOf = async (helper: TestHelper) => (await helper.request("helper/info", {})).pid;
  /** Threads of a process that wait for a BSD lock. */
  const waitersOf = (pid: number) =>
    readFileSync("/proc/locks", "utf8")
      .split("\n")
      .filter((line) => new RegExp(`-> FLOCK +ADVISORY +WRITE ${pid} `).test(line)).length;
  const opened = (pid: number) => openedBy(pid).filter((path) => path === CONTROL).length;
  const isFree = () => spawnSync("flock", ["--nonblock", CONTROL, "true"]).status === 0;
  const attach = (helper: TestHelper) => {
    const source = new CancellationTokenSource();
    const answer = helper.request("loop/attach", { path }, source.token).catch((error: unknown) => error);
    return { answer, cancel: () => source.cancel() };
  };

  it("who cancels is answered at once, and who comes after them waits on the same thread", async () => {
    const helper = await scene.helperWith();
    const pid = await idOf(helper);
    const locker = await Locker.hold();
    try {
      for (let times = 0; times < 3; times++) {
        const { answer, cancel } = attach(helper);
        await until(() => waitersOf(pid) === 1, "waiting");
        cancel();
        assert.equal(((await answer) as { code?: number }).code, CANCELLED);
        assert.ok(locker.holds);
        assert.equal(waitersOf(pid), 1);
      }
      const { answer } = attach(helper);
      await helper.request("devices/list", {});
      assert.equal(waitersOf(pid), 1);
      await locker.letGo();
      const { device } = (await answer) as { device: { device: string } };
      await helper.request("loop/detach", { device: device.device });
    } finally {
      await locker.letGo();
    }
    assert.deepEqual(scene.bound(), []);
    await until(isFree, "nobody to hold the lock");
    assert.equal(opened(pid), 0);
  });

  it("where nobody wants it any more it is let go of as soon as it has come", async () => {
    const helper = await scene.helperWith();
    const pid = await idOf(helper);
    const locker = await Locker.hold();
    const { answer, cancel } = attach(helper);
    await until(() => waitersOf(pid) === 1, "waiting");
    cancel();
    await answer;
    await locker.letGo();
    await until(() => opened(pid) === 0, "the control device to be closed");
    await until(isFree, "nobody to hold the lock");
    assert.deepEqual(scene.bound(), []);
  });

  it("a helper whose client is gone doesn't wait for it, nor for the thread that does", async () => {
    const helper = await scene.helperWith();
    const pid = await idOf(helper);
    const locker = await Locker.hold();
    try {
      attach(helper);
      await until(() => waitersOf(pid) === 1, "waiting");
      const ended = once(helper.process, "exit");
      helper.process.stdin?.end();
      assert.deepEqual(await ended, [0, null]);
      assert.ok(locker.holds);
    } finally {
      await locker.letGo();
    }
    assert.deepEqual(scene.bound(), []);
  });
});

/** Another program that keeps the lock until it is told to let go of it. */
class Locker {
  private constructor(readonly process: ChildProcess) {}

  static async hold(): Promise<Locker> {
    const process = spawn("flock", [CONTROL, "cat"], { stdio: ["pipe", "pipe", "inherit"] });
    process.stdin?.write("locked");
    await once(process.stdout, "data");
    return new Locker(process);
  }

  get holds(): boolean {
    return this.process.exitCode === null;
  }

  async letGo(): Promise<void> {
    if (this.holds) {
      const ended = once(this.process, "exit");
      this.process.stdin?.end();
      await ended;
    }
  }
}
