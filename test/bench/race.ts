/* Attach and detach by many clients at once, each with a helper of its own, as windows of VS Code have. */
import { TestHelper } from "../helper";
import { MiB, type Workshop } from "../images";
import { type Measured, summarise } from "./measure";
import { compile, millisecondsIn, spawned } from "./peers";
import type { Row } from "./table";

const CLIENTS = 32;
const BATCHES = 3;
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
  const helpers: TestHelper[] = [];
  const results: Record<"ours" | "theirs", Race> = {
    ours: { times: [], perPair: [] },
    theirs: { times: [], perPair: [] },
  };
  try {
    for (const _ of images) {
      helpers.push(await TestHelper.start());
    }
    const ours = async () => {
      const begun = performance.now();
      const end = begun + SECONDS * 1000;
      const times = await Promise.all(helpers.map((helper, index) => client(helper, images[index] ?? "", end)));
      return { times: times.flat(), total: performance.now() - begun };
    };
    const theirs = async () => {
      const times = millisecondsIn(await spawned(program, String(CLIENTS), String(SECONDS), place.folder));
      const total = times.pop() ?? Number.NaN;
      return { times, total };
    };
    await ours();
    for (let batch = 0; batch < BATCHES; batch++) {
      for (const [race, run] of [
        [results.ours, ours],
        [results.theirs, theirs],
      ] as const) {
        const { times, total } = await run();
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
  const what = `attach + detach, ${CLIENTS} clients at once`;
  const against = `${CLIENTS} × losetup -f, losetup -d`;
  return [
    { what: `${what}: time per pair`, ...both("perPair"), against, aim: { timesFaster: 30 } },
    { what: `${what}: p99`, ...both("times"), against, aim: { timesFaster: 10 }, by: "p99" },
  ];
}

async function client(helper: TestHelper, path: string, end: number): Promise<number[]> {
  const times: number[] = [];
  for (let begun = performance.now(); begun < end; begun = performance.now()) {
    const { device } = await helper.request("loop/attach", { path });
    await helper.request("loop/detach", { device: device.device, diskSequence: device.diskSequence });
    times.push(performance.now() - begun);
  }
  return times;
}
