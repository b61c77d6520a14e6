import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { CancellationTokenSource } from "vscode-jsonrpc/node";
import { helperProgram } from "../helper";
import { MiB } from "../images";
import { attached, pattern, quick, Scene, sys, until } from "./scene";

/** A helper whose bytes are written and read by hand. */
class Raw implements AsyncDisposable {
  received = "";
  readonly process: ChildProcess;
  readonly ended: Promise<unknown[]>;

  constructor() {
    this.process = spawn(process.execPath, [helperProgram, "--stdio"], { stdio: ["pipe", "pipe", "ignore"] });
    this.process.stdout?.on("data", (bytes: Buffer) => {
      this.received += bytes;
    });
    this.process.stdin?.on("error", () => {});
    this.ended = once(this.process, "exit");
  }

  write(text: string): void {
    this.process.stdin?.write(text);
  }

  say(message: unknown): void {
    this.write(framed(typeof message === "string" ? message : JSON.stringify(message)));
  }

  /** The answers that came whole so far. Others may change devices at any time, of which the helper tells. */
  get answers(): { id?: number | null; error?: { code: number }; result?: unknown }[] {
    const [, ...pieces] = this.received.split(/Content-Length: (\d+)\r\n\r\n/);
    return pieces
      .filter((text, index) => index % 2 === 1 && Buffer.byteLength(text) === Number(pieces[index - 1]))
      .map((text) => JSON.parse(text))
      .filter((message) => "id" in message);
  }

  async initialized(): Promise<void> {
    this.say({ jsonrpc: "2.0", id: 0, method: "initialize", params: {} });
    await until(() => this.answers.length > 0, "initialized");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.kill("SIGKILL");
    await this.ended;
  }
}

function framed(text: string): string {
  return `Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`;
}

function isForGood(device: string): boolean {
  try {
    return sys(device, "loop/autoclear") === "0";
  } catch {
    return false;
  }
}

describe("the helper's protocol", { concurrency: false }, () => {
  let scene: Awaited<ReturnType<typeof Scene.set>>;
  before(async () => {
    scene = await Scene.set();
  });
  after(() => scene[Symbol.asyncDispose]());

  it("answers bad JSON with -32700 and no id, and goes on", async () => {
    await using raw = new Raw();
    await raw.initialized();
    for (const bad of ["{", "nonsense", "", "5", "null", "[]", '{"jsonrpc":']) {
      raw.received = "";
      raw.say(bad);
      await until(() => raw.answers.length === 1, `an answer to ${bad}`);
      assert.deepEqual([raw.answers[0]?.id, raw.answers[0]?.error?.code], [null, -32700]);
    }
    raw.received = "";
    raw.say({ jsonrpc: "2.0", id: 7, method: "devices/list", params: {} });
    await until(() => raw.answers.some(({ id }) => id === 7), "an answer");
  });

  it("ends with -32700 where the frames are lost: garbage, lengths that can't be", async () => {
    for (const garbage of [
      "Content-Length: 99999999999999\r\n\r\n{}",
      "Content-Length: -5\r\n\r\n{}",
      "Content-Length: 1e3\r\n\r\n{}",
      "Content-Length: x\r\n\r\n{}",
      "Content-Type: text/plain\r\n\r\n{}",
      "GET / HTTP/1.1\r\n\r\n",
      "\0".repeat(100_000),
    ]) {
      await using raw = new Raw();
      await raw.initialized();
      raw.received = "";
      raw.write(garbage);
      const [code] = await raw.ended;
      assert.equal(code, 0, JSON.stringify(garbage.slice(0, 40)));
      assert.equal(raw.answers.at(-1)?.error?.code, -32700);
    }
  });

  it("reads requests in pieces, and several at once", async () => {
    await using raw = new Raw();
    const list = (id: number) => framed(JSON.stringify({ jsonrpc: "2.0", id, method: "loop/findFree", params: {} }));
    await raw.initialized();
    for (const byte of list(1)) {
      raw.write(byte);
      await new Promise(setImmediate);
    }
    raw.write(list(2) + list(3) + list(4));
    await until(() => [1, 2, 3, 4].every((id) => raw.answers.some((it) => it.id === id)), "four answers");
  });

  it("greets, in whatever pieces and with whatever behind it the first message comes", async () => {
    const say = (id: number, method: string) => framed(JSON.stringify({ jsonrpc: "2.0", id, method, params: {} }));
    await using slow = new Raw();
    for (const byte of say(1, "initialize")) {
      slow.write(byte);
      await new Promise(setImmediate);
    }
    await until(() => slow.answers.length === 1, "a greeting");
    slow.write(say(2, "helper/info"));
    await until(() => slow.answers.length === 2, "an answer");
    await using quick = new Raw();
    const exit = framed(JSON.stringify({ jsonrpc: "2.0", method: "exit" }));
    quick.write(say(1, "initialize") + say(2, "helper/info") + say(3, "initialize") + say(4, "shutdown") + exit);
    assert.deepEqual(await quick.ended, [0, null]);
    assert.deepEqual(
      quick.answers.map(({ id, result }) => [id, result !== undefined]).sort(),
      [1, 2, 3, 4].map((id) => [id, true]),
    );
    const [greeting, again] = [1, 3].map((number) => quick.answers.find(({ id }) => id === number)?.result);
    assert.deepEqual(greeting, again);
  });

  it("ends where stdin or stdout does before it has greeted, and says what is wrong with a first message", async () => {
    for (const sent of ["", "Content-Le", framed('{"jsonrpc":"2.0","id":1,"method":"initialize"}').slice(0, -1)]) {
      await using raw = new Raw();
      raw.write(sent);
      raw.process.stdin?.end();
      assert.deepEqual(await raw.ended, [0, null], sent);
      assert.equal(raw.received, "");
    }
    await using deaf = new Raw();
    deaf.process.stdout?.destroy();
    await once(deaf.process.stdout ?? deaf.process, "close");
    deaf.say({ jsonrpc: "2.0", id: 1, method: "initialize", params: {} });
    assert.deepEqual(await deaf.ended, [0, null]);
    for (const bad of [framed("{"), framed("[]"), "Content-Length: x\r\n\r\n{}"]) {
      await using raw = new Raw();
      raw.write(bad);
      await until(() => raw.answers.length === 1, `an answer to ${bad}`);
      assert.deepEqual([raw.answers[0]?.id, raw.answers[0]?.error?.code], [null, -32700]);
    }
    await using unasked = new Raw();
    // Nothing that would be answered, and no greeting.
    unasked.say({ jsonrpc: "2.0", method: "initialize", params: {} });
    unasked.say({ jsonrpc: "2.0", id: 2, method: "helper/info", params: {} });
    await until(() => unasked.answers.length === 1, "an answer");
    assert.equal(unasked.answers[0]?.error?.code, -32002);
  });

  it("knows its states: nothing before initialize, nothing after shutdown, exit 0 after it and 1 without", async () => {
    await using raw = new Raw();
    raw.say({ jsonrpc: "2.0", id: 1, method: "devices/list", params: {} });
    await until(() => raw.answers.length === 1, "an answer");
    assert.equal(raw.answers[0]?.error?.code, -32002);
    await raw.initialized();
    raw.say({ jsonrpc: "2.0", id: 2, method: "no/such", params: {} });
    raw.say({ jsonrpc: "2.0", id: 3, method: "toString", params: {} });
    raw.say({ jsonrpc: "2.0", id: 4, method: "devices/list", params: [1] });
    raw.say({ jsonrpc: "2.0", id: 5, method: "shutdown" });
    raw.say({ jsonrpc: "2.0", id: 6, method: "devices/list", params: {} });
    raw.say({ jsonrpc: "2.0", method: "exit" });
    assert.deepEqual(await raw.ended, [0, null]);
    const code = (id: number) => raw.answers.find((it) => it.id === id)?.error?.code;
    assert.deepEqual([2, 3, 4, 6].map(code), [-32601, -32601, -32602, -32600]);
    await using other = new Raw();
    await other.initialized();
    other.say({ jsonrpc: "2.0", method: "exit" });
    assert.deepEqual(await other.ended, [1, null]);
  });

  it("ends by itself when stdin does, in mid-request too, and leaves nothing", async () => {
    const path = scene.workshop.blank("half.img", MiB);
    const request = framed(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "loop/attach", params: { path } }));
    for (const sent of [request.slice(0, 30), request.slice(0, -5), ""]) {
      await using raw = new Raw();
      await raw.initialized();
      raw.write(sent);
      raw.process.stdin?.end();
      assert.deepEqual(await raw.ended, [0, null]);
      assert.deepEqual(scene.bound(), []);
    }
  });

  it("finishes or undoes a whole request when stdin ends right behind it", async () => {
    const path = scene.workshop.blank("whole.img", MiB);
    for (const delay of [0, 1, 2, 3, 5, 8, 13, 21]) {
      await using raw = new Raw();
      await raw.initialized();
      raw.say({ jsonrpc: "2.0", id: 1, method: "loop/attach", params: { path } });
      await sleep(delay);
      raw.process.stdin?.end();
      await raw.ended;
      const answer = raw.answers.find(({ id }) => id === 1);
      // A lister that has it open just then keeps what was given up for that moment.
      await until(() => scene.bound().every(isForGood), "attached for good, or not at all");
      if (answer?.result) {
        assert.equal(scene.bound().length, 1);
      }
      for (const device of scene.bound()) {
        await scene.helper.request("loop/detach", { device });
      }
    }
  });

  it("answers $/cancelRequest with nothing left half", async () => {
    const path = scene.workshop.path("cancel.img");
    writeFileSync(path, pattern(MiB, 1));
    let cancelled = 0;
    const rounds = quick ? 20 : 60;
    // One in ten comes before the answer, so that at times none has by then.
    for (let round = 0; round < rounds || (cancelled === 0 && round < 10 * rounds); round++) {
      const source = new CancellationTokenSource();
      const attach = scene.helper.request("loop/attach", { path }, source.token).catch((error: unknown) => error);
      await sleep(Math.random() * 25);
      source.cancel();
      const answer = await attach;
      if (answer instanceof Error) {
        assert.equal((answer as { code?: number }).code, -32800, answer.message);
        cancelled++;
        await until(() => scene.bound().length === 0, "nothing left of a cancelled attach");
      } else {
        assert.equal(scene.bound().length, 1);
        const { devices } = await scene.helper.request("devices/list", {});
        const device = devices.find((it) => it.device === scene.bound()[0]);
        assert.ok(device?.kind === "loop" && !device.autoclear);
        await scene.helper.request("loop/detach", { device: device.device });
      }
    }
    assert.ok(cancelled > 0);
  });

  it("cancels a long copy into memory at once, telling how far it is until then", async () => {
    const path = scene.workshop.blank("large.img", 4096 * MiB);
    const seen: string[] = [];
    scene.helper.connection.onNotification("$/progress", ({ value }) => {
      seen.push(value.kind);
    });
    const source = new CancellationTokenSource();
    const params = { path, inMemory: true, workDoneToken: "copy" };
    // So that there is something to copy.
    writeFileSync(path, pattern(64 * MiB, 1), { flag: "r+" });
    const attach = scene.helper.request("loop/attach", params, source.token);
    await until(() => seen.length > 0, "progress");
    source.cancel();
    await assert.rejects(attach, { code: -32800 });
    await until(() => seen.at(-1) === "end", "the end of progress");
    assert.deepEqual(scene.bound(), []);
  });

  it("keeps answering while a slow request is under way", async () => {
    const device = await attached(scene.helper, { path: scene.workshop.blank("slow.img", 256 * MiB) });
    writeFileSync(device.device, Buffer.alloc(200 * MiB, 1), { flag: "r+" });
    const flushing = scene.helper.request("loop/flush", { device: device.device });
    const start = performance.now();
    let longest = 0;
    let done = false;
    void flushing.finally(() => {
      done = true;
    });
    do {
      const began = performance.now();
      await scene.helper.request("helper/info", {});
      longest = Math.max(longest, performance.now() - began);
    } while (!done);
    await flushing;
    // On a loaded machine it is slow, but still doesn't wait for the flush.
    assert.ok(longest < Math.max(250, (performance.now() - start) / 2), `${longest} ms without an answer`);
    await scene.helper.request("loop/detach", { device: device.device });
  });
});
