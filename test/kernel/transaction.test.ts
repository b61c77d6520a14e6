import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { TestHelper } from "../helper";
import { KiB, MiB } from "../images";
import { attached, boundIn, detachedAmidOthers, imageOf, pattern, quick, Scene, sys, until } from "./scene";

/** How many helpers are killed at the same time, as the machine allows. */
const LANES = 4;
const MOMENTS = quick ? 24 : 500;
/** By how much helpers are killed sooner or later, where the last one was killed too late or too early. */
const STEP = 1.25;

/** In bytes; undefined where the kernel has no such partition. */
function sizeOf(partition: string): number | undefined {
  try {
    return Number(sys(partition, "size")) * 512;
  } catch {
    return undefined;
  }
}

describe("SIGKILL of the helper", { concurrency: false }, () => {
  let scene: Awaited<ReturnType<typeof Scene.set>>;
  before(async () => {
    scene = await Scene.set();
  });
  after(() => scene[Symbol.asyncDispose]());

  it(`at ${MOMENTS} random moments of attach and detach: no leak, no half-made device (systemd #19150)`, async () => {
    const outcomes = { none: 0, whole: 0 };
    // About as long as an attach and a detach take, in milliseconds: found out on the way, as a machine isn't always as fast.
    let round = LANES * (await timeOfOne());
    let left = MOMENTS;
    const lane = async (index: number) => {
      const name = `lane-${index}.img`;
      // Without partitions, all attaches of a helper but the first are a single call to the kernel.
      const partitioned = index % 2 === 0;
      const path = partitioned
        ? scene.workshop.disk(name, 8 * MiB, "label: dos\nsize=2M\n")
        : scene.workshop.blank(name, 8 * MiB);
      while (left-- > 0) {
        const { known, unanswered, rounds } = await killAtRandom(path, round);
        if (rounds > 0) {
          round /= STEP;
        } else if (unanswered === "attach") {
          round *= STEP;
        }
        const device = scene.bound().find((it) => imageOf(it) === path);
        if (device === undefined) {
          // Detached, undone, or never begun; but nothing that a client was told is there.
          assert.ok(known === undefined || unanswered === "detach", `${known} is lost`);
          outcomes.none++;
        } else {
          // Whole: all that was asked for is there, and it stays.
          assert.equal(sys(device, "loop/autoclear"), "0", `${device} half-made`);
          assert.equal(sys(device, "loop/offset"), "0");
          assert.equal(sys(device, "loop/sizelimit"), `${4 * MiB}`);
          assert.ok(known === device || unanswered === "attach", `${device} was not to be there`);
          // Where there is udev, it reads the table anew when the device was closed: for a moment no partition is there.
          await until(() => sizeOf(`${device}p1`) === (partitioned ? 2 * MiB : undefined), `${device}p1 whole`);
          await detachedAmidOthers(scene.helper, { device });
          outcomes.whole++;
        }
      }
    };
    await Promise.all(Array.from({ length: LANES }, (_, index) => lane(index)));
    assert.ok(outcomes.none > 0 && outcomes.whole > 0, JSON.stringify(outcomes));
    assert.deepEqual(boundIn(scene.folder), []);
  });

  /** In milliseconds, with nothing beside it. */
  async function timeOfOne(): Promise<number> {
    const path = scene.workshop.disk("alone.img", 8 * MiB, "label: dos\nsize=2M\n");
    const began = performance.now();
    const { device } = await attached(scene.helper, { path });
    await scene.helper.request("loop/detach", { device });
    return performance.now() - began;
  }

  /**
   * @param within so many milliseconds
   * @returns the device that the client knows to be there, the request that it had no answer to, and how often it has
   *   attached and detached before
   */
  async function killAtRandom(path: string, within: number) {
    const helper = await TestHelper.start();
    let known: string | undefined;
    let unanswered: "attach" | "detach" | undefined;
    let rounds = 0;
    const work = (async () => {
      for (;;) {
        unanswered = "attach";
        known = (await helper.request("loop/attach", { path, sizeLimit: 4 * MiB })).device.device;
        unanswered = "detach";
        await helper.request("loop/detach", { device: known });
        known = undefined;
        rounds++;
      }
    })().catch(() => {});
    await sleep(Math.random() * within);
    await helper.kill();
    helper.connection.dispose();
    await Promise.race([work, sleep(20)]);
    const result = { known, unanswered, rounds };
    // The kernel closes the descriptors of a dead process, and finishes detaching, in its own time.
    await until(() => {
      const device = scene.bound().find((it) => imageOf(it) === path);
      try {
        return device === undefined || sys(device, "loop/autoclear") === "0";
      } catch {
        return false;
      }
    }, `${path} settled after SIGKILL`);
    return result;
  }

  it("while it copies into memory or holds a device with autoclear: nothing is left", async () => {
    const path = scene.workshop.path("memory.img");
    writeFileSync(path, pattern(32 * MiB, 1));
    for (const delay of [5, 20, 40, 80, 160]) {
      const helper = await scene.helperWith();
      const answers = [
        helper.request("loop/attach", { path, inMemory: true, autoclear: true, reference: scene.folder.slice(-20) }),
        helper.request("loop/attach", { path, offset: 4 * KiB, autoclear: true }),
      ].map((answer) => answer.catch(() => {}));
      await sleep(delay);
      await helper.kill();
      helper.connection.dispose();
      void answers;
      await until(() => scene.bound().length === 0, "nothing left");
      const { devices } = await scene.helper.request("devices/list", {});
      assert.ok(!devices.some((it) => it.kind === "loop" && it.reference === scene.folder.slice(-20)));
    }
  });
});
