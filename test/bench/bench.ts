/*
 * `npm run bench`: us and our peers side by side, in one run, as root. Prints a table, and writes it as JSON. The
 * absolute times are this machine's; the ratios are what counts.
 *
 *   bench.js FILE [GROUP…]
 */
import { writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { dirname } from "node:path";
import { run, Workshop } from "../images";
import { loopsUnder } from "../vscode/loops";
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
  // The guest touches no device of this machine, and so leaves the helper that is to be idle alone.
  quiet: async (place) => {
    const [quiet, guests] = await Promise.all([idle(place), inGuest()]);
    return [quiet, ...guests];
  },
  // By itself: what takes 30 ms alone takes twice as long while anything else begins or ends.
  activation: async () => [await activation()],
  sizes: async () => sizes(),
};

/** What a group can't measure is a row of its own, and doesn't stop the others. */
async function measured(name: string, measure: () => Promise<Rows>): Promise<Rows> {
  const begun = performance.now();
  try {
    return await measure();
  } catch (error) {
    process.exitCode = 1;
    return [{ what: name, unmeasured: error instanceof Error ? error.message : String(error) }];
  } finally {
    console.error(`${name}: ${((performance.now() - begun) / 1000).toFixed(0)} s`);
  }
}

/** Detaches what was cut off between attach and detach. Those in folders of their own have somebody who does. */
function releaseLeft({ folder }: Workshop): void {
  for (const { device, image } of loopsUnder(folder)) {
    if (dirname(image) === folder) {
      run("losetup", ["--detach", device]);
    }
  }
}

async function main([file = "", ...asked]: string[]): Promise<void> {
  using place = new Workshop();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(signal, () => {
      releaseLeft(place);
      place[Symbol.dispose]();
      process.exit(1);
    });
  }
  const rows: Rows = [];
  for (const [name, measure] of Object.entries(groups)) {
    if (asked.length === 0 || asked.includes(name)) {
      rows.push(...(await measured(name, () => measure(place))));
      releaseLeft(place);
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
