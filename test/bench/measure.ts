/* Timing, and what is made of it. */
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";

/** A median and a 99th percentile; times in milliseconds unless a row names another unit. */
export interface Measured {
  median: number;
  p99: number;
}

/** @returns the milliseconds that it measured itself, where not the whole of it is to count */
export type Run = () => Promise<readonly number[] | undefined>;

export function summarise(values: readonly number[]): Measured {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
  return { median: at(0.5), p99: at(0.99) };
}

/** All in turn, so that whatever else the machine does hits all alike. The first round of each warms up. */
export async function sideBySide<Name extends string>(
  rounds: number,
  runs: Record<Name, Run>,
): Promise<Record<Name, Measured>> {
  const names = Object.keys(runs) as Name[];
  const times = new Map(names.map((name) => [name, [] as number[]]));
  for (let round = -1; round < rounds; round++) {
    for (const name of names) {
      const begun = performance.now();
      const measured = (await runs[name]()) ?? [performance.now() - begun];
      if (round >= 0) {
        times.get(name)?.push(...measured);
      }
    }
  }
  const results = names.map((name) => [name, summarise(times.get(name) ?? [])]);
  return Object.fromEntries(results) as Record<Name, Measured>;
}

/** Where the host took more of the processors than this share, what was measured tells of the host, and of nothing here. */
const DISTURBING = 0.01;
const TICKS_PER_MS = 0.1;

/** Runs something, and says whether the host of this virtual machine took too much of its processors meanwhile. */
export async function watchHost<T>(run: () => Promise<T>): Promise<{ result: T; stolen: number; disturbed: boolean }> {
  const [begun, before] = [performance.now(), stolenTicks()];
  const result = await run();
  const stolen = (stolenTicks() - before) / ((performance.now() - begun) * TICKS_PER_MS * availableParallelism());
  return { result, stolen, disturbed: stolen > DISTURBING };
}

/** proc_stat(5): of all processors, in hundredths of a second. */
function stolenTicks(): number {
  return Number(readFileSync("/proc/stat", "utf8").split("\n", 1)[0]?.split(/ +/)[8]);
}
