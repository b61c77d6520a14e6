/* Timing, and what is made of it. */

/** Times in milliseconds. */
export interface Measured {
  median: number;
  p99: number;
}

export function summarise(milliseconds: number[]): Measured {
  const sorted = [...milliseconds].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
  return { median: at(0.5), p99: at(0.99) };
}

/** Both in turn, so that whatever else the machine does hits both alike. The first round of each warms up. */
export async function compare(
  rounds: number,
  ours: () => unknown,
  theirs: () => unknown,
): Promise<{ ours: Measured; theirs: Measured }> {
  const times = { ours: [] as number[], theirs: [] as number[] };
  for (let round = -1; round < rounds; round++) {
    for (const [name, run] of [
      ["ours", ours],
      ["theirs", theirs],
    ] as const) {
      const begun = performance.now();
      await run();
      if (round >= 0) {
        times[name].push(performance.now() - begun);
      }
    }
  }
  return { ours: summarise(times.ours), theirs: summarise(times.theirs) };
}
