/*
 * Attach and detach by many clients at once: each with a helper of its own, as windows of VS Code have, and all of one
 * helper, as when many images are attached from one window.
 */
import { TestHelper } from "../helper";
import { MiB, type Workshop } from "../images";
import { type Measured, summarise, watchHost } from "./measure";
import { compile, millisecondsIn, spawned } from "./peers";
import type { Row } from "./table";

const CLIENTS = 32;
const BATCHES = 3;
/** How often a batch is made until the host lets it be. */
const TRIES = 4;
/** How long a batch of either side takes. */
const SECONDS = 3;

/** Milliseconds of each attach + detach; and, of each batch, of the whole by how many there were. */
interface Race {
  times: number[];
  perPair: number[];
}

export async function race(place: Workshop): Promise<Row[]> {
  const images = Array.from({ length: CLIENTS }, (_, index) => place.blank(`ours-${index}.img`, MiB));
  for (let index = 0; index < CLIENTS; index++) {
    place.blank(`theirs-${index}.img`, MiB);
  }
  const program = compile("race", place.folder);
  const theirs = async () => {
    const times = millisecondsIn(await spawned(program, String(CLIENTS), String(SECONDS), place.folder));
    const total = times.pop() ?? Number.NaN;
    return { times, total };
  };
  return [...(await between(images, CLIENTS, theirs)), ...(await between(images, 1, theirs))];
}

type Batch = () => Promise<{ times: number[]; total: number }>;

/** @param count of helpers that share the images: no more of them run meanwhile, as each hears of every change */
async function between(images: readonly string[], count: number, theirs: Batch): Promise<Row[]> {
  const helpers: TestHelper[] = [];
  const results: Record<"ours" | "theirs", Race> = {
    ours: { times: [], perPair: [] },
    theirs: { times: [], perPair: [] },
  };
  try {
    for (let index = 0; index < count; index++) {
      helpers.push(await TestHelper.start());
    }
    const ours = async () => {
      const begun = performance.now();
      const end = begun + SECONDS * 1000;
      const times = await Promise.all(images.map((image, index) => client(helpers[index % count], image, end)));
      return { times: times.flat(), total: performance.now() - begun };
    };
    await ours();
    for (let batch = 0; batch < BATCHES; batch++) {
      for (const [race, run] of [
        [results.ours, ours],
        [results.theirs, theirs],
      ] as const) {
        const { times, total } = await leastDisturbed(run);
        race.times.push(...times);
        race.perPair.push(total / times.length);
      }
    }
  } finally {
    await Promise.all(helpers.map((helper) => helper[Symbol.asyncDispose]()));
  }
  const both = (key: keyof Race): Record<"ours" | "theirs", Measured> => ({
    ours: summarise(results.ours[key]),
    theirs: summarise(results.theirs[key]),
  });
  const what = `attach + detach, ${CLIENTS} clients at once, ${count === 1 ? "one helper" : "each with a helper"}`;
  const against = `${CLIENTS} × losetup -f, losetup -d`;
  return [
    { what: `${what}: time per pair`, ...both("perPair"), against, aim: { timesFaster: 30 } },
    { what: `${what}: p99`, ...both("times"), against, aim: { timesFaster: 10 }, by: "p99" },
  ];
}

async function leastDisturbed(run: Batch): ReturnType<Batch> {
  let least = await watchHost(run);
  for (let tries = 1; least.disturbed && tries < TRIES; tries++) {
    const next = await watchHost(run);
    least = next.stolen < least.stolen ? next : least;
  }
  return least.result;
}

async function client(helper: TestHelper | undefined, path: string, end: number): Promise<number[]> {
  if (!helper) {
    throw new Error("There are fewer helpers than clients.");
  }
  const times: number[] = [];
  for (let begun = performance.now(); begun < end; begun = performance.now()) {
    const { device } = await helper.request("loop/attach", { path });
    await helper.request("loop/detach", { device: device.device, diskSequence: device.diskSequence });
    times.push(performance.now() - begun);
  }
  return times;
}
