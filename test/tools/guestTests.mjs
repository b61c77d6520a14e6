/* The guest tier: tests in virtual machines, as many as this machine has processors for. */
import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { runInGuest } from "../guest/vm/run.mjs";
import { failedAltogether, readResults, readTimes, sum } from "./results.mjs";

const root = join(import.meta.dirname, "../..");

/** More would be idle for want of files that take as long as the longest. */
const MOST_MACHINES = 2;

/** Three times what it takes, all on one machine: more means that something stands still. */
const LIMIT_SECONDS = 2400;

/** Those of the kernel tier that gain nothing in the guest, where they take minutes. */
const OWN = [
  // About the helper alone.
  "audit",
  "errno",
  "installed",
  "limits",
  "protocol",
  // About files and whose they are, of which neither udev nor the kernel's parsers know.
  "attach-refusals",
  "caller",
  // About kernels that the test plays.
  "old-kernel",
  // About a thread of the helper's own.
  "list-many",
  // About what the kernel has in memory of an image, which udev reads whenever it likes.
  "glance",
].map((name) => `${name}.test.js`);

/**
 * How many seconds those files take that take longest, as the end of this tier tells it. Whoever is wrong here only
 * wastes time.
 *
 * @type {Record<string, number>}
 */
const SECONDS = {
  "guest/mapper": 193,
  "kernel/mount": 137,
  "kernel/content": 109,
  "kernel/transaction": 76,
  "kernel/detach": 54,
  "kernel/overlap": 50,
  "kernel/attach-in-use": 46,
  "kernel/update": 46,
  "kernel/partition": 44,
  "kernel/changes": 33,
  "kernel/attach": 29,
  "kernel/attach-device": 28,
  "guest/mount": 24,
  "kernel/race": 24,
  "guest/mapper-commands": 23,
  "kernel/cancel": 21,
};
const SECONDS_OF_OTHERS = 10;

/**
 * @param {(tier: string) => string[]} testFiles of a tier
 * @param {string[]} runner the test runner's arguments, without a reporter
 * @returns {Promise<import("./results.mjs").Count>}
 */
export async function guestTests(testFiles, runner) {
  const files = [...testFiles("guest"), ...testFiles("kernel").filter((file) => !OWN.includes(basename(file)))];
  const hands = dealt(files, Math.min(MOST_MACHINES, availableParallelism()));
  const outputs = inTurn(hands.length);
  const counts = await Promise.all(
    hands.map(async (hand, index) => {
      const { write = () => {}, end = () => {} } = outputs[index] ?? {};
      try {
        return await runMachine(hand, runner, write);
      } catch (error) {
        const told = error instanceof Error ? error.message : String(error);
        write(`${told}\n`);
        return failedAltogether(`machine ${index + 1} of ${hands.length}`, told);
      } finally {
        end();
      }
    }),
  );
  return sum(counts);
}

/**
 * @param {string[]} files
 * @param {string[]} runner
 * @param {(chunk: Buffer | string) => void} write
 */
async function runMachine(files, runner, write) {
  const artifacts = mkdtempSync(join(tmpdir(), "diskloom-test-"));
  try {
    const reporters = [
      "--test-reporter=spec --test-reporter-destination=stdout",
      `--test-reporter="$DISKLOOM_ROOT/test/tools/reporter.mjs"`,
      `--test-reporter-destination="$DISKLOOM_GUEST_SHARE/results"`,
    ].join(" ");
    const status = await runInGuest({
      command: ["/bin/bash", "-c", `exec "$0" ${runner.join(" ")} ${reporters} "$@"`, process.execPath, ...files],
      cwd: root,
      // The kernel tier once more, with udev and parsers for partitions; emulated, so not at its full length.
      env: { DISKLOOM_ROOT: root, DISKLOOM_GUEST: "1", DISKLOOM_QUICK: "1" },
      limitSeconds: LIMIT_SECONDS,
      artifacts,
      onStdout: write,
      onStderr: write,
    });
    const results = join(artifacts, "results");
    write(`${told(readTimes(results))}\n`);
    return readResults(results, status);
  } finally {
    rmSync(artifacts, { recursive: true, force: true });
  }
}

/**
 * Deals out files, the longest first, each to whoever has least to do until then.
 *
 * @param {string[]} files
 * @param {number} players
 */
function dealt(files, players) {
  const seconds = (/** @type {string} */ file) => SECONDS[nameOf(file)] ?? SECONDS_OF_OTHERS;
  const hands = Array.from({ length: players }, () => ({ files: /** @type {string[]} */ ([]), seconds: 0 }));
  for (const file of files.toSorted((a, b) => seconds(b) - seconds(a))) {
    const least = hands.reduce((a, b) => (b.seconds < a.seconds ? b : a));
    least.files.push(file);
    least.seconds += seconds(file);
  }
  return hands.map((hand) => hand.files);
}

/** @param {string} file @returns {string} of a file of tests: its tier and its name */
function nameOf(file) {
  return `${basename(dirname(file))}/${basename(file, ".test.js")}`;
}

/** @param {import("./results.mjs").Time[]} times */
function told(times) {
  const all = times.reduce((sum, { seconds }) => sum + seconds, 0);
  const each = times.map(({ file, seconds }) => `${nameOf(file)} ${Math.round(seconds)}`);
  return `${times.length} files in ${Math.round(all)} s: ${each.join(", ")}`;
}

/**
 * Lets several write to stdout at once: the first as it goes, each other one when those before it have come to an end.
 *
 * @param {number} count
 */
function inTurn(count) {
  let turn = 0;
  const waiting = Array.from({ length: count }, () => ({
    chunks: /** @type {(Buffer | string)[]} */ ([]),
    ended: false,
  }));
  const passOn = () => {
    for (let current = waiting[turn]; current; current = waiting[++turn]) {
      for (const chunk of current.chunks.splice(0)) {
        process.stdout.write(chunk);
      }
      if (!current.ended) return;
    }
  };
  return waiting.map((mine) => ({
    write: (/** @type {Buffer | string} */ chunk) => {
      mine.chunks.push(chunk);
      passOn();
    },
    end: () => {
      mine.ended = true;
      passOn();
    },
  }));
}
