/*
 * `npm test`: every tier, each with what it needs installed first. `npm run test:kernel` and the like run one.
 *
 * A tier that can't run here says so loudly and fails the run: nothing is skipped in silence.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ensureDebianPackages, ensureNpmPackages } from "./packages.mjs";
import { releaseImagesIn } from "./release.mjs";
import { failedAltogether, inFull, readResults, sum, title } from "./results.mjs";

const root = join(import.meta.dirname, "../..");

/** What a person, or whoever started us, asked us to end by. @type {NodeJS.Signals | undefined} */
let interruption;

const bin = (/** @type {string} */ name) => join(root, "node_modules/.bin", name);

/** What the tests make images with, and compare with. */
const IMAGE_TOOLS = [
  "btrfs-progs",
  "cryptsetup-bin",
  "dosfstools",
  "e2fsprogs",
  "erofs-utils",
  "fdisk",
  "libblkid1",
  "lvm2",
  "mdadm",
  "squashfs-tools",
  "util-linux",
  "xfsprogs",
  "xorriso",
];
const COMPILER = ["gcc", "libc6-dev", "linux-libc-dev"];

/** @typedef {import("./results.mjs").Count} Count */
/** @type {Record<string, () => Promise<Count>>} */
const tiers = {
  async lint() {
    return step([bin("biome"), "check", "--error-on-warnings", "."]);
  },
  async check() {
    return step([bin("tsc"), "-p", "."]);
  },
  async unit() {
    ensureDebianPackages([...IMAGE_TOOLS, ...COMPILER], "the unit tests");
    return nodeTests("unit");
  },
  async kernel() {
    ensureDebianPackages([...IMAGE_TOOLS, ...COMPILER, "sudo"], "the kernel tests");
    if (process.getuid?.() !== 0) {
      throw new Error("The kernel tests attach real loop devices: run them as root.");
    }
    return kernelTests();
  },
  async guest() {
    ensureDebianPackages([...IMAGE_TOOLS, ...COMPILER], "the tests in the guest");
    const { ensureGuest } = await import("../guest/vm/setup.mjs");
    await ensureGuest({});
    const { guestTests } = await import("./guestTests.mjs");
    return guestTests(testFiles, RUNNER);
  },
  async vscode() {
    ensureDebianPackages([...IMAGE_TOOLS, "sudo"], "the tests in VS Code");
    const { ensureVsCode } = await import("../vscode/host/setup.mjs");
    const { installInto } = await import("../vscode/host/serve.mjs");
    const { packageExtension } = await import("./package.mjs");
    ensureVsCode();
    const extensions = mkdtempSync(join(tmpdir(), "diskloom-extensions-"));
    try {
      // Once for all files, of which each has a VS Code of its own.
      await installInto([packageExtension()], extensions);
      return await nodeTests("vscode", { DISKLOOM_EXTENSIONS: extensions });
    } finally {
      rmSync(extensions, { recursive: true, force: true });
    }
  },
};

/** @param {string} tier @returns {string[]} */
function testFiles(tier) {
  const folder = join(root, "dist/test", tier);
  const files = readdirSync(folder).filter((name) => name.endsWith(".test.js"));
  if (files.length === 0) {
    throw new Error(`There is no test in ${folder}.`);
  }
  return files.map((name) => join(folder, name)).sort();
}

/** One at a time: the tests share this machine's devices, and count what is left of them. */
const RUNNER = ["--test", "--test-concurrency=1", "--enable-source-maps"];

/**
 * @param {string} tier
 * @param {NodeJS.ProcessEnv} [env] on top of this process's
 * @returns {Promise<Count>}
 */
async function nodeTests(tier, env = {}) {
  const folder = mkdtempSync(join(tmpdir(), "diskloom-test-"));
  try {
    const file = join(folder, "results");
    const reporters = ["spec", "stdout", join(import.meta.dirname, "reporter.mjs"), file].map(
      (value, index) => `--test-reporter${index % 2 ? "-destination" : ""}=${value}`,
    );
    const runner = spawn(process.execPath, [...RUNNER, ...reporters, ...testFiles(tier)], {
      cwd: root,
      stdio: "inherit",
      env: { ...process.env, DISKLOOM_ROOT: root, ...env },
    });
    return readResults(file, await endOf(runner));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * @param {import("node:child_process").ChildProcess} runner
 * @returns {Promise<number | null>} its exit status; null where a signal ended it
 */
async function endOf(runner) {
  // Node's runner ends its tests when it is asked to end itself. What they leave then is ours to let go of.
  const passOn = (/** @type {NodeJS.Signals} */ signal) => {
    interruption ??= signal;
    runner.kill("SIGTERM");
  };
  const signals = /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"]);
  for (const signal of signals) process.on(signal, passOn);
  try {
    const [status] = await once(runner, "exit");
    return status;
  } finally {
    for (const signal of signals) process.off(signal, passOn);
  }
}

/**
 * The kernel tier makes its images in a folder of this run: whatever ends the tests, by that the devices are known that
 * they have left.
 *
 * @returns {Promise<Count>}
 */
async function kernelTests() {
  const folder = mkdtempSync(join(tmpdir(), "diskloom-run-"));
  // Tests act for other users, too.
  chmodSync(folder, 0o1777);
  try {
    return await nodeTests("kernel", { TMPDIR: folder });
  } finally {
    await endOfAllIn(folder);
    await releaseImagesIn(folder);
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Waits for the processes that make their temporary files in a folder: a helper whose client is gone first brings to an
 * end what it is about.
 *
 * @param {string} folder
 */
async function endOfAllIn(folder) {
  const isIn = (/** @type {string} */ process) => {
    try {
      return readFileSync(`/proc/${process}/environ`, "utf8").split("\0").includes(`TMPDIR=${folder}`);
    } catch {
      return false;
    }
  };
  for (let tries = 0; tries < 100 && readdirSync("/proc").some(isIn); tries++) {
    await sleep(100);
  }
}

/** @param {[string, ...string[]]} command @returns {Count} */
function step([program, ...args]) {
  const { status, stdout, stderr, error } = spawnSync(program, args, { cwd: root, encoding: "utf8" });
  const said = [stdout, stderr, error?.message].filter(Boolean).join("\n");
  console.log(said);
  return status === 0 ? { passed: 1, failed: 0, failures: [] } : failedAltogether(basename(program), said);
}

async function main() {
  const asked = process.argv.slice(2);
  const unknown = asked.filter((name) => !(name in tiers));
  if (unknown.length > 0) {
    throw new Error(`There is no tier ${unknown.join(", ")}. There are: ${Object.keys(tiers).join(", ")}.`);
  }
  ensureNpmPackages(root, { args: ["--ignore-scripts"] });
  const { build } = await import("./build.mjs");
  build({ tests: true });

  /** @type {(Count & {name: string, seconds: number})[]} */
  const results = [];
  for (const name of asked.length > 0 ? asked : Object.keys(tiers)) {
    console.log(`\n──── ${name} ${"─".repeat(Math.max(0, 70 - name.length))}`);
    const begun = Date.now();
    let count = failedAltogether(name, "It isn't there.");
    try {
      count = (await tiers[name]?.()) ?? count;
    } catch (error) {
      const why = `THE ${name.toUpperCase()} TIER CAN'T RUN HERE: ${error instanceof Error ? error.message : error}`;
      console.error(`\n!!! ${why}\n`);
      count = failedAltogether("all of it", why);
    }
    if (interruption) {
      process.exit(128 + constants.signals[interruption]);
    }
    results.push({ name, ...count, seconds: Math.round((Date.now() - begun) / 1000) });
  }
  tell(results);
  process.exit(sum(results).failed > 0 ? 1 : 0);
}

/**
 * Says what came of it: all that matters is in the last lines, as a CI shows no more of a long log.
 *
 * @param {(Count & {name: string, seconds: number})[]} results
 */
function tell(results) {
  const each = results.flatMap(({ name, failures }) => failures.map((failure) => ({ name, failure })));
  for (const { name, failure } of each) {
    console.log(`\n${inFull(name, failure)}`);
  }
  console.log("");
  for (const { name, passed, failed, seconds } of results) {
    console.log(`${failed ? "FAILED" : "ok    "} ${name.padEnd(8)} ${passed} passed, ${failed} failed, ${seconds} s`);
  }
  const { passed, failed } = sum(results);
  console.log(`\n${passed} passed, ${failed} failed${each.length > 0 ? ":" : ""}`);
  for (const { name, failure } of each) {
    console.log(`✖ ${title(name, failure)}`);
  }
}

await main();
