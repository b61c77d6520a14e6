import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { closeSync, openSync, readFileSync, readSync, statSync, writeFileSync, writeSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import type { LoopDevice } from "../../helper/protocol";
import type { TestHelper } from "../helper";
import { KiB } from "../images";
import { detachedAmidOthers, imageOf, pattern, quick, Scene, until } from "./scene";

// The guest has one emulated processor: with 32, each would wait longer for it than for any lock.
const PROCESSES = process.env.DISKLOOM_GUEST ? 4 : 32;
const STRANGERS = 3;
const SECONDS = quick ? 4 : 30;
/** For those who have had no turn when the time is over, as on a machine that has much else to do. */
const MORE_SECONDS = 60;
const SIZE = 256 * KiB;

const execute = promisify(execFile);
const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };

/** Goes on for its time, and until each racer has had a turn amid all the others. */
class Race {
  readonly #turns: Map<string, number>;
  readonly #end = performance.now() + SECONDS * 1000;

  constructor(racers: string[]) {
    this.#turns = new Map(racers.map((name) => [name, 0]));
  }

  count(racer: string): void {
    this.#turns.set(racer, (this.#turns.get(racer) ?? 0) + 1);
  }

  goesOn(): boolean {
    const now = performance.now();
    return now < this.#end || (now < this.#end + MORE_SECONDS * 1000 && this.#starving().length > 0);
  }

  assertNobodyStarved(): void {
    assert.deepEqual(this.#starving(), []);
  }

  #starving(): string[] {
    return [...this.#turns].flatMap(([name, turns]) => (turns === 0 ? [name] : []));
  }
}

describe(`${PROCESSES} helpers that attach and detach at once for ${SECONDS} s`, { concurrency: false }, () => {
  let scene: Scene;
  let helpers: TestHelper[];
  before(async () => {
    scene = await Scene.set();
    helpers = [];
    // Four at a time: the start is CPU time alone.
    while (helpers.length < PROCESSES) {
      helpers.push(...(await Promise.all(Array.from({ length: 4 }, () => scene.helperWith()))));
    }
  });
  after(() => scene[Symbol.asyncDispose]());

  /** Attaches, checks, writes, detaches and checks until the race is over. */
  async function cycle(helper: TestHelper, index: number, name: string, race: Race): Promise<void> {
    const path = scene.workshop.path(`${name}-${index}.img`);
    let content = pattern(SIZE, index * 1000);
    writeFileSync(path, content);
    const inode = statSync(path).ino;
    for (let round = 1; race.goesOn(); round++) {
      const { device, shared } = await helper.request("loop/attach", { path });
      assert.equal(shared, false);
      assert.deepEqual([device.backingInode, device.backingFile, imageOf(device.device)], [inode, path, path]);
      content = useIt(device, content, index * 1000 + round);
      // The sequence number makes sure that it is still ours that is detached.
      const { diskSequence } = device;
      const { state } = await detachedAmidOthers(helper, { device: device.device, diskSequence });
      assert.equal(state, "detached");
      assert.notEqual(imageOf(device.device), path, "gone by the time of the answer");
      assert.ok(readFileSync(path).equals(content), "the image holds what was written through the device");
      race.count(`${name} ${index}`);
    }
  }

  function useIt({ device }: LoopDevice, before: Buffer, seed: number): Buffer {
    const fd = openSync(device, "r+");
    try {
      const read = Buffer.alloc(SIZE);
      assert.equal(readSync(fd, read, 0, SIZE, 0), SIZE);
      assert.ok(read.equals(before), `${device} shows somebody else's content`);
      const next = pattern(SIZE, seed);
      writeSync(fd, next, 0, SIZE, 0);
      return next;
    } finally {
      closeSync(fd);
    }
  }

  it("nobody ever gets somebody else's device", async () => {
    const race = new Race(helpers.map((_, index) => `own ${index}`));
    await Promise.all(helpers.map((helper, index) => cycle(helper, index, "own", race)));
    race.assertNobodyStarved();
    assert.deepEqual(scene.bound(), []);
  });

  it("not with losetup racing as a stranger either, who takes no locks", async () => {
    const strangers = Array.from({ length: STRANGERS }, (_, index) => `stranger ${index}`);
    const race = new Race([...helpers.map((_, index) => `racing ${index}`), ...strangers]);
    await Promise.all([
      ...helpers.map((helper, index) => cycle(helper, index, "racing", race)),
      ...strangers.map((name, index) => stranger(name, index, race)),
    ]);
    race.assertNobodyStarved();
    // What losetup has detached goes when nobody else has a look at it any more.
    await until(() => scene.bound().length === 0, "nothing left");
  });

  async function stranger(name: string, index: number, race: Race): Promise<void> {
    const path = scene.workshop.path(`stranger-${index}.img`);
    const content = pattern(SIZE, 900_000 + index);
    writeFileSync(path, content);
    while (race.goesOn()) {
      // It loses many a race itself.
      const found = await execute("losetup", ["--find", "--show", path], { env }).catch(() => undefined);
      const device = found?.stdout.trim();
      if (device) {
        assert.equal(imageOf(device), path);
        assert.ok(readFileSync(device).equals(content), `${device} shows somebody else's content`);
        await execute("losetup", ["--detach", device], { env });
        race.count(name);
      }
    }
  }
});
