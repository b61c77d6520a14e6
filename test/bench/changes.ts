/* How long it takes to hear of what another program changed. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { TestHelper } from "../helper";
import { MiB, type Workshop } from "../images";
import { type Measured, summarise } from "./measure";
import { compile } from "./peers";
import type { Row } from "./table";

const ROUNDS = 60;
/** Longer than changes are grouped, so that each is one of its own. */
const BETWEEN = 120;
/** A change that isn't told at all. */
const LIMIT = 5000;

export async function changes(place: Workshop): Promise<Row> {
  const { ours, theirs } = await hearChanges(place);
  return {
    what: "another program's change → devices/changed",
    ours,
    against: "a netlink listener in C",
    theirs,
    aim: { below: 60 },
  };
}

/** Both from the moment before the ioctl that changes something. */
export async function hearChanges(place: Workshop): Promise<{ ours: Measured; theirs: Measured }> {
  await using helper = await TestHelper.start();
  // Milliseconds of CLOCK_MONOTONIC, as the program in C says them.
  let told: ((time: number) => void) | undefined;
  helper.connection.onNotification("devices/changed", () => told?.(Number(process.hrtime.bigint()) / 1e6));

  const child = spawn(compile("change", place.folder), [place.blank("change.img", MiB)]);
  child.stderr.pipe(process.stderr);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const times = { ours: [] as number[], theirs: [] as number[] };
  try {
    for (let round = 0; round < ROUNDS; round++) {
      await pause(BETWEEN);
      const hearing = new Promise<number>((resolve) => {
        told = resolve;
      });
      child.stdin.write("\n");
      const { value = "" } = await lines.next();
      const [begun = Number.NaN, heard = Number.NaN] = String(value)
        .split(" ")
        .map((nanoseconds) => Number(nanoseconds) / 1e6);
      times.theirs.push(heard - begun);
      times.ours.push((await Promise.race([hearing, pause(LIMIT, Number.NaN)])) - begun);
    }
  } finally {
    child.stdin.end();
  }
  return { ours: summarise(times.ours), theirs: summarise(times.theirs) };
}
