/* `npm run bench`: as root, on this machine's real loop devices. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { build } from "./build.mjs";
import { ensureDebianPackages, ensureNpmPackages } from "./packages.mjs";

const root = join(import.meta.dirname, "../..");
if (process.getuid?.() !== 0) {
  throw new Error("The benchmark attaches real loop devices: run it as root.");
}
ensureNpmPackages(root, { args: ["--ignore-scripts"] });
ensureDebianPackages(["gcc", "libc6-dev", "linux-libc-dev", "fdisk", "util-linux"], "the benchmark");
build({ tests: true });
const { status } = spawnSync(process.execPath, [join(root, "dist/test/bench/bench.js")], {
  cwd: root,
  stdio: "inherit",
});
process.exit(status ?? 1);
