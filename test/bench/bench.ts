/*
 * `npm run bench`: us and our peers side by side, in one run, as root. Prints a table, and writes it as JSON. The
 * absolute times are this machine's; the ratios are what counts.
 *
 *   bench.js FILE [GROUP…]
 */
import { writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { Workshop } from "../images";
import { attachInEngine, attachOverProtocol } from "./attach";
import { changes } from "./changes";
import { detachDirty } from "./dirty";
import { activation, sizes } from "./extension";
import { inGuest } from "./guest";
import { idle } from "./idle";
import { inspect } from "./inspect";
import { listMany } from "./list";
import { idleMemory } from "./memory";
import { race } from "./race";
import { firstReply } from "./start";
import { judge, printTable, type Row, type Unmeasured } from "./table";

type Rows = (Row | Unmeasured)[];

const groups: Record<string, (place: Workshop) => Promise<Rows>> = {
  attach: async (place) => [await attachInEngine(place), await attachOverProtocol(place)],
  race,
  list: listMany,
  changes: async (place) => [await changes(place)],
  inspect: async (place) => [await inspect(place)],
  start: async () => [await firstReply()],
  memory: async () => [await idleMemory()],
  dirty: async (place) => [await detachDirty(place)],
  // The guest and VS Code touch no device of this machine, and so leave the helper that is to be idle alone.
  quiet: async (place) => {
    const [quiet, others] = await Promise.all([idle(place), elsewhere()]);
    return [quiet, ...others];
  },
  sizes: async () => sizes(),
};

async function elsewhere(): Promise<Rows> {
  return [...(await inGuest()), await activation()];
}

async function main([file = "", ...asked]: string[]): Promise<void> {
  using place = new Workshop();
  const rows: Rows = [];
  for (const [name, measure] of Object.entries(groups)) {
    if (asked.length === 0 || asked.includes(name)) {
      const begun = performance.now();
      rows.push(...(await measure(place)));
      console.error(`${name}: ${((performance.now() - begun) / 1000).toFixed(0)} s`);
    }
  }
  const processors = cpus();
  const machine = `${processors.length} × ${processors[0]?.model}, Linux ${release()}, Node ${process.version}`;
  console.log(`\n${machine}`);
  printTable(rows);
  const results = rows.map((row) => ("unmeasured" in row ? row : { ...row, ...judge(row) }));
  writeFileSync(file, `${JSON.stringify({ machine, results }, null, 2)}\n`);
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
