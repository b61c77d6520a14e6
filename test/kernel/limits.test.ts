/* What the helper does with clients that send too much, or nonsense, or don't listen. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { run } from "../images";
import { Mutator, seeded } from "./mutate";
import { quick, Scene, until } from "./scene";
import { type Answer, framed, Wire } from "./wire";

const MiB = 1 << 20;
const MOST_MEMORY = 150 * MiB;
const MUTATIONS = quick ? 5000 : 100_000;
const SEED = Number(process.env.DISKLOOM_SEED ?? 20_261_121);

const info = (id: number) => ({ jsonrpc: "2.0", id, method: "helper/info", params: {} });

/** What no message here may change: what this machine's loop devices show, and what is mounted. */
function picture(folder: string): string {
  // Others use devices and mounts of theirs meanwhile.
  const loops = run("losetup", ["--list", "--noheadings", "--raw", "--output", "NAME,BACK-FILE"]);
  const mounts = run("cat", ["/proc/self/mounts"]);
  return [loops, mounts].map((text) => text.split("\n").filter((line) => line.includes(folder))).join("\n");
}

const isOneTooMany = (error: Answer["error"]) => /requests are under way already/.test(error?.message ?? "");

/** Waits until the helper has room for one more request, and answers it. */
async function untilServed(wire: Wire, id: string): Promise<void> {
  for (let tries = 0; isOneTooMany((await wire.ask("helper/info", {}, `${id}.${tries}`)).error); tries++) {
    assert.ok(tries < 1000, "what is under way never ends");
    await sleep(10);
  }
}

describe("the helper's limits", { concurrency: false }, () => {
  let scene: Awaited<ReturnType<typeof Scene.set>>;
  let before_: string;
  before(async () => {
    scene = await Scene.set();
    writeFileSync(scene.workshop.path("empty"), "");
    before_ = picture(scene.folder);
  });
  after(() => scene[Symbol.asyncDispose]());

  it("takes a message of 1 MiB, and ends the connection on a longer one without waiting for it", async () => {
    await using wire = await Wire.initialized();
    const padded = JSON.stringify({ ...info(1), method: "none", params: { padding: "" } });
    const exactly = padded.replace('""', `"${"x".repeat(MiB - padded.length)}"`);
    assert.equal(exactly.length, MiB);
    wire.write(framed(exactly));
    await until(() => wire.answers.some(({ id }) => id === 1), "an answer to 1 MiB");
    wire.write(`Content-Length: ${MiB + 1}\r\n\r\n{`);
    assert.deepEqual(await wire.ended, [0, null]);
    assert.equal(wire.answers.at(-1)?.error?.code, -32700);
    assert.match(wire.answers.at(-1)?.error?.message ?? "", /at most 1048576 bytes/);
  });

  it("keeps no more than a message of what comes in pieces that never end", async () => {
    await using wire = await Wire.initialized();
    wire.write(`Content-Length: ${MiB}\r\n\r\n`);
    const began = performance.now();
    for (let sent = 0; sent < MiB - 1; sent += 64) {
      if (!wire.write("x".repeat(Math.min(64, MiB - 1 - sent)))) {
        await new Promise(setImmediate);
      }
    }
    await sleep(300);
    assert.ok(!wire.hasEnded);
    assert.ok(wire.resident < MOST_MEMORY, `${wire.resident} bytes`);
    assert.ok(performance.now() - began < 10_000);
    wire.process.stdin?.end();
    assert.deepEqual(await wire.ended, [0, null]);
  });

  it("refuses as busy what goes beyond 64 requests under way, and serves on when they are done", async () => {
    await using wire = await Wire.initialized();
    // Each waits for its turn with the control device, until we let go of it.
    const path = scene.workshop.blank("wanted.img", MiB);
    const locker = spawn("flock", ["/dev/loop-control", "cat"], { stdio: ["pipe", "pipe", "inherit"] });
    try {
      locker.stdin.write("locked");
      await once(locker.stdout, "data");
      const attach = (id: number) =>
        framed(JSON.stringify({ jsonrpc: "2.0", id, method: "loop/attach", params: { path } }));
      wire.write(Buffer.concat(Array.from({ length: 100 }, (_, id) => attach(id))));
      await until(
        () => wire.answers.filter(({ error }) => error?.data?.reason === "busy").length === 36,
        "36 refusals",
      );
      assert.equal(wire.answers.filter(({ id }) => typeof id === "number").length, 36);
    } finally {
      locker.stdin.end();
    }
    await until(() => wire.answers.filter(({ id }) => typeof id === "number").length === 100, "all answers", 30_000);
    assert.equal(wire.answers.filter(({ error }) => error?.data?.reason === "overlap").length, 63);
    const [device = ""] = scene.bound();
    assert.deepEqual((await wire.ask("loop/detach", { device }, "detach")).error, undefined);
  });

  it("a flood from a client that reads: alive, and no growth", async () => {
    await using wire = await Wire.initialized();
    const count = quick ? 5000 : 50_000;
    const batch = 500;
    for (let sent = 0; sent < count; sent += batch) {
      wire.write(Buffer.concat(Array.from({ length: batch }, (_, at) => framed(JSON.stringify(info(sent + at))))));
      await until(() => wire.answers.length > sent + batch - 1, "answers", 30_000);
      assert.ok(wire.resident < MOST_MEMORY, `${wire.resident} bytes after ${sent}`);
    }
  });

  it("a flood of notifications and of nonsense: alive, and no growth", async () => {
    await using wire = await Wire.initialized();
    const progress = framed(JSON.stringify({ jsonrpc: "2.0", method: "$/progress", params: { x: "y".repeat(100) } }));
    const many = Buffer.concat([...Array.from({ length: 500 }, () => progress), framed("nonsense")]);
    for (let round = 0; round < (quick ? 10 : 100); round++) {
      wire.write(many);
      assert.ok((await wire.ask("helper/info", {}, `round ${round}`)).result);
      assert.ok(wire.resident < MOST_MEMORY, `${wire.resident} bytes`);
    }
  });

  it("a client that reads nothing isn't listened to, and its answers come when it does read", async () => {
    await using wire = new Wire(false);
    wire.say({ jsonrpc: "2.0", id: "first", method: "initialize", params: {} });
    let sent = 0;
    // What the pipes hold is as much as is ever taken.
    for (const end = performance.now() + (quick ? 1500 : 4000); performance.now() < end; ) {
      if (wire.write(Buffer.concat(Array.from({ length: 100 }, (_, at) => framed(JSON.stringify(info(sent + at))))))) {
        sent += 100;
      } else {
        sent += 100;
        const drained = new Promise((resolve) => wire.process.stdin?.once("drain", resolve));
        await Promise.race([drained, sleep(500)]);
        if (wire.process.stdin?.writableNeedDrain) {
          break;
        }
      }
    }
    assert.ok(wire.process.stdin?.writableNeedDrain, `${sent} requests were taken without an answer being read`);
    assert.ok(wire.resident < MOST_MEMORY, `${wire.resident} bytes`);
    wire.read();
    await until(() => wire.answers.filter(({ id }) => typeof id === "number").length === sent, "all answers", 60_000);
  });

  it("ends where nobody reads what it says, and stdin or stdout is closed", async () => {
    for (const stream of ["stdin", "stdout"] as const) {
      await using wire = new Wire(false);
      wire.say({ jsonrpc: "2.0", id: "first", method: "initialize", params: {} });
      wire.write(Buffer.concat(Array.from({ length: 1000 }, (_, id) => framed(JSON.stringify(info(id))))));
      await sleep(500);
      if (stream === "stdin") {
        wire.process.stdin?.end();
      } else {
        wire.process.stdout?.destroy();
      }
      await Promise.race([wire.ended, sleep(10_000).then(() => assert.fail(`alive without ${stream}`))]);
    }
  });

  it(`${MUTATIONS} mutated messages: alive, small, and nothing changed`, { timeout: 300_000 }, async (context) => {
    await using wire = await Wire.initialized();
    const mutator = new Mutator(seeded(SEED), scene.folder);
    // As many as can be under way, so that each is looked at and none refused as one too many.
    const batch = 60;
    let [most, refusedAsBusy] = [0, 0];
    for (let sent = 0; sent < MUTATIONS; sent += batch) {
      const messages = Array.from({ length: batch }, () => mutator.next());
      wire.write(Buffer.concat(messages.map(framed)));
      try {
        await untilServed(wire, `batch ${sent}`);
      } catch (error) {
        const file = join(tmpdir(), "diskloom-fuzz.txt");
        writeFileSync(file, messages.join("\n"));
        assert.fail(`${error} Seed ${SEED}, one of those in ${file}. It said: ${wire.errors}`);
      }
      refusedAsBusy += wire.answers.filter(({ id, error }) => typeof id === "number" && isOneTooMany(error)).length;
      wire.answers.length = 0;
      most = Math.max(most, wire.resident);
    }
    assert.ok(most < MOST_MEMORY, `${most} bytes`);
    assert.ok(refusedAsBusy < MUTATIONS / 20, `${refusedAsBusy} weren't looked at`);
    context.diagnostic(`${most >> 20} MiB at most, ${refusedAsBusy} not looked at`);
  });

  it("frames that are cut, doubled or lie: ended or alive, never astray", async () => {
    const random = seeded(SEED);
    for (let round = 0; round < (quick ? 10 : 60); round++) {
      await using wire = await Wire.initialized();
      const bytes = Buffer.concat([framed(JSON.stringify(info(1))), framed(JSON.stringify(info(2)))]);
      for (let times = 0; times < 3; times++) {
        bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
      }
      wire.write(bytes);
      wire.process.stdin?.end();
      const [code] = await Promise.race([wire.ended, sleep(10_000).then(() => assert.fail(`hangs on ${bytes}`))]);
      assert.equal(code, 0, bytes.toString());
    }
  });

  it("no device and no mount is other than before", () => {
    assert.equal(picture(scene.folder), before_);
    assert.deepEqual(scene.bound(), []);
  });
});
