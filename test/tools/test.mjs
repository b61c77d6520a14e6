/*
 * `npm test`: every tier, each with what it needs installed first. `npm run test:kernel` and the like run one.
 *
 * A tier that can't run here says so loudly and fails the run: nothing is skipped in silence.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { ensureDebianPackages, ensureNpmPackages } from "./packages.mjs";

const root = join(import.meta.dirname, "../..");
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

/** @typedef {{passed: number, failed: number, failures?: string[]}} Count */
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
    return nodeTests("kernel");
  },
  async guest() {
    ensureDebianPackages([...IMAGE_TOOLS, ...COMPILER], "the tests in the guest");
    const { ensureGuest } = await import("../guest/vm/setup.mjs");
    await ensureGuest({});
    return guestTests();
  },
  async vscode() {
    ensureDebianPackages([...IMAGE_TOOLS, "sudo"], "the tests in VS Code");
    const { ensureVsCode } = await import("../vscode/host/setup.mjs");
    const { packageExtension } = await import("./package.mjs");
    ensureVsCode();
    packageExtension();
    return nodeTests("vscode");
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

/** @param {string} tier @returns {Count} */
function nodeTests(tier) {
  const folder = mkdtempSync(join(tmpdir(), "diskloom-test-"));
  try {
    const tap = join(folder, "result.tap");
    const reporters = ["spec", "stdout", "tap", tap].map(
      (value, index) => `--test-reporter${index % 2 ? "-destination" : ""}=${value}`,
    );
    const { status } = spawnSync(process.execPath, [...RUNNER, ...reporters, ...testFiles(tier)], {
      cwd: root,
      stdio: "inherit",
      env: { ...process.env, DISKLOOM_ROOT: root },
    });
    return counted(existsSync(tap) ? readFileSync(tap, "utf8") : "", status);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Of the kernel tier, what is about the helper alone: under emulation that takes minutes, and finds nothing else. */
const OWN = ["audit", "installed", "limits", "old-kernel", "protocol"].map((name) => `${name}.test.js`);

/** @returns {Promise<Count>} */
async function guestTests() {
  const { runInGuest } = await import("../guest/vm/run.mjs");
  const artifacts = mkdtempSync(join(tmpdir(), "diskloom-test-"));
  try {
    const files = [...testFiles("guest"), ...testFiles("kernel").filter((file) => !OWN.includes(basename(file)))];
    const reporters =
      '--test-reporter=spec --test-reporter-destination=stdout --test-reporter=tap --test-reporter-destination="$DISKLOOM_GUEST_SHARE/result.tap"';
    const command = `exec "$0" ${RUNNER.join(" ")} ${reporters} "$@"`;
    const status = await runInGuest({
      command: ["/bin/bash", "-c", command, process.execPath, ...files],
      cwd: root,
      // The kernel tier once more, with udev and parsers for partitions; emulated, so not at its full length.
      env: { DISKLOOM_ROOT: root, DISKLOOM_GUEST: "1", DISKLOOM_QUICK: "1" },
      limitSeconds: 1200,
      artifacts,
    });
    const tap = join(artifacts, "result.tap");
    return counted(existsSync(tap) ? readFileSync(tap, "utf8") : "", status);
  } finally {
    rmSync(artifacts, { recursive: true, force: true });
  }
}

/**
 * @param {string} tap what the runner wrote
 * @param {number | null} status its exit status
 * @returns {Count}
 */
function counted(tap, status) {
  const number = (/** @type {string} */ name) => Number(new RegExp(`^# ${name} (\\d+)$`, "m").exec(tap)?.[1] ?? 0);
  const left = number("skipped") + number("todo") + number("cancelled");
  if (left > 0) {
    console.error(`${left} tests were skipped, cancelled or left to do: that counts as failed.`);
  }
  const failed = number("fail") + left;
  // A runner that dies without a word has failed, whatever it had counted.
  return {
    passed: number("pass"),
    failed: failed || (status === 0 && number("pass") > 0 ? 0 : 1),
    failures: failuresIn(tap),
  };
}

/**
 * What failed, as the runner wrote it: said once more at the very end, as all that many a CI shows of a long run.
 *
 * @param {string} tap
 */
function failuresIn(tap) {
  const blocks = tap.matchAll(/^( *)not ok \d+ - .*\n\1 {2}---\n(?:.*\n)*?\1 {2}\.\.\.$/gm);
  return [...blocks].map(([block]) => block).filter((block) => !block.includes("failureType: 'subtestsFailed'"));
}

/** @param {[string, ...string[]]} command @returns {Count} */
function step([program, ...args]) {
  const { status } = spawnSync(program, args, { cwd: root, stdio: "inherit" });
  return status === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
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
    /** @type {Count} */
    let count = { passed: 0, failed: 1 };
    try {
      count = (await tiers[name]?.()) ?? count;
    } catch (error) {
      console.error(
        `\n!!! THE ${name.toUpperCase()} TIER CAN'T RUN HERE: ${error instanceof Error ? error.message : error}\n`,
      );
    }
    results.push({ name, ...count, seconds: Math.round((Date.now() - begun) / 1000) });
  }

  for (const { name, failures = [] } of results) {
    for (const failure of failures) {
      console.log(`\n${name}: ${failure.trimStart()}`);
    }
  }
  console.log("");
  for (const { name, passed, failed, seconds } of results) {
    console.log(`${failed ? "FAILED" : "ok    "} ${name.padEnd(8)} ${passed} passed, ${failed} failed, ${seconds} s`);
  }
  const sum = (/** @type {"passed" | "failed"} */ key) => results.reduce((total, result) => total + result[key], 0);
  console.log(`\n${sum("passed")} passed, ${sum("failed")} failed`);
  process.exit(sum("failed") > 0 ? 1 : 0);
}

await main();
