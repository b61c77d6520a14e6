/* What is measured against what, and whether it reaches what it must: as rows of one table. */
import type { Measured } from "./measure";

/** What a row must reach. Compared are the medians, or the 99th percentiles where the row says so. */
export type Aim =
  /** So many times faster than the peer, at least. */
  | { timesFaster: number }
  /** So many times the peer's, at most. */
  | { times: number }
  /** So much more than the peer's, at most. */
  | { more: number }
  /** Less than this. */
  | { below: number };

export interface Row {
  what: string;
  ours: Measured;
  /** Milliseconds, unless it is something else. */
  unit?: "MiB" | "KB" | "%";
  against: string;
  theirs?: Measured;
  aim: Aim;
  by?: keyof Measured;
  /** What one should know of how it was measured. */
  note?: string;
}

/** A row that can't be measured on this machine, and why. */
export interface Unmeasured {
  what: string;
  unmeasured: string;
}

export interface Verdict {
  ratio: string;
  must: string;
  met: boolean;
}

export function judge({ ours, theirs = { median: 0, p99: 0 }, aim, by = "median", unit }: Row): Verdict {
  const [our, their] = [ours[by], theirs[by]];
  const named = (value: number) => `${readable(value)} ${unit ?? "ms"}`;
  if ("timesFaster" in aim) {
    const ratio = their / our;
    return {
      ratio: `${readable(ratio)} times faster`,
      must: `at least ${aim.timesFaster}`,
      met: ratio >= aim.timesFaster,
    };
  }
  if ("times" in aim) {
    const ratio = our / their;
    return { ratio: `${ratio.toFixed(2)} times`, must: `at most ${aim.times}`, met: ratio <= aim.times };
  }
  if ("more" in aim) {
    const more = our - their;
    return { ratio: `+ ${named(more)}`, must: `at most + ${named(aim.more)}`, met: more <= aim.more };
  }
  return { ratio: "", must: `under ${named(aim.below)}`, met: our < aim.below };
}

export function printTable(rows: readonly (Row | Unmeasured)[]): void {
  const lines = rows.map((row) => {
    if ("unmeasured" in row) {
      return [row.what, "not measured", row.unmeasured, "", "", "", "NO"];
    }
    const { ratio, must, met } = judge(row);
    const unit = row.unit ?? "ms";
    const both = ({ median, p99 }: Measured) =>
      median === p99 ? `${readable(median)} ${unit}` : `${readable(median)} / ${readable(p99)} ${unit}`;
    return [row.what, both(row.ours), row.against, row.theirs ? both(row.theirs) : "", ratio, must, met ? "yes" : "NO"];
  });
  const table = [["what", "ours (median / p99)", "against", "theirs", "ratio", "must reach", "met"], ...lines];
  const widths = (table[0] ?? []).map((_, column) => Math.max(...table.map((line) => line[column]?.length ?? 0)));
  for (const line of table) {
    console.log(
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    );
  }
  for (const row of rows) {
    if ("note" in row) {
      console.log(`${row.what}: ${row.note}`);
    }
  }
}

/** Three digits, as nothing here is known better. */
function readable(value: number): string {
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
