/* Whether the helper hears others while it detaches a device with very much to write. */
import { closeSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { root, TestHelper } from "../helper";
import { MiB, type Workshop } from "../images";
import { summarise, watchHost } from "./measure";
import type { Row } from "./table";

const DIRTY = 512 * MiB;
/** How many rounds count, and how many there may be until there are so many. */
const ROUNDS = 4;
const TRIES = 24;
const LIMIT = 30_000;

export async function detachDirty(place: Workshop): Promise<Row> {
  const path = place.blank("dirty.img", DIRTY);
  // In the helper itself, as an answer that comes late over a pipe can be late for other reasons.
  const preload = `--import ${join(root, "dist/test/bench/loopDelay.js")}`;
  await using helper = await TestHelper.start({ environment: { ...process.env, NODE_OPTIONS: preload } });
  const stops: number[] = [];
  const idle: number[] = [];
  let disturbed = 0;
  while (stops.length < ROUNDS && disturbed + stops.length < TRIES) {
    // Past the page cache, the last close of the device would leave nothing to write.
    const { device } = await helper.request("loop/attach", { path, directIo: false });
    dirty(device.device);
    await longestStop(helper);
    const begun = performance.now();
    const detached = await watchHost(() => helper.request("loop/detach", { device: device.device }));
    const took = performance.now() - begun;
    const stop = await longestStop(helper);
    if (detached.disturbed) {
      disturbed++;
      continue;
    }
    stops.push(stop);
    await pause(took);
    idle.push(await longestStop(helper));
  }
  if (stops.length === 0) {
    throw new Error("the host of this virtual machine took processors for itself in every round.");
  }
  return {
    what: "detach with 512 MiB of dirty pages: the event loop's longest stop",
    ours: summarise(stops),
    against: "the same helper, idle for as long",
    theirs: summarise(idle),
    aim: { below: 10 },
    by: "p99",
    ...(disturbed > 0 && {
      note: `the host of this virtual machine took processors for itself in ${disturbed} more rounds, which don't count.`,
    }),
  };
}

function dirty(device: string): void {
  const file = openSync(device, "r+");
  const block = Buffer.alloc(8 * MiB, "dirty");
  for (let offset = 0; offset < DIRTY; offset += block.length) {
    writeSync(file, block, 0, block.length, offset);
  }
  closeSync(file);
}

/** Milliseconds, since this was asked last. */
async function longestStop(helper: TestHelper): Promise<number> {
  const { length } = helper.errors;
  helper.process.kill("SIGUSR2");
  for (const end = Date.now() + LIMIT; Date.now() < end; await pause(5)) {
    const said = /^longest stop: (\S+) ms$/m.exec(helper.errors.slice(length));
    if (said) {
      return Number(said[1]);
    }
  }
  throw new Error("The helper says nothing of its event loop.");
}
