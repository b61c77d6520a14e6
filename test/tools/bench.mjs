/*
 * `npm run bench`: as root, on this machine's real loop devices, in the guest and in VS Code.
 *
 *   npm run bench -- [--json FILE] [GROUP…]
 *
 *     --json FILE    where to write the table as JSON: dist/bench.json
 *     GROUP…         measure these alone, such as attach, list, start
 */
import { spawnSync } from "node:child_process";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { build } from "./build.mjs";
import { ensureDebianPackages, ensureNpmPackages, say } from "./packages.mjs";

const root = join(import.meta.dirname, "../..");
const { values, positionals } = parseArgs({ allowPositionals: true, options: { json: { type: "string" } } });
if (process.getuid?.() !== 0) {
  throw new Error("The benchmark attaches real loop devices: run it as root.");
}
ensureNpmPackages(root, { args: ["--ignore-scripts"] });
const tools = ["dosfstools", "e2fsprogs", "erofs-utils", "fdisk", "squashfs-tools", "util-linux"];
ensureDebianPackages(["gcc", "libc6-dev", "linux-libc-dev", ...tools], "the benchmark");
// Rows that need what can't be had say so in the table.
for (const [what, ensure] of Object.entries({
  "the guest": async () => (await import("../guest/vm/setup.mjs")).ensureGuest({}),
  "VS Code": async () => (await import("../vscode/host/setup.mjs")).ensureVsCode(),
})) {
  try {
    await ensure();
  } catch (error) {
    say(`${what} can't be had: ${error instanceof Error ? error.message : error}`);
  }
}
build({ tests: true });
const { packageExtension } = await import("./package.mjs");
packageExtension();
const program = join(root, "dist/test/bench/bench.js");
const json = resolve(values.json ?? join(root, "dist/bench.json"));
const { status } = spawnSync(process.execPath, [program, json, ...positionals], { cwd: root, stdio: "inherit" });
process.exit(status ?? 1);
