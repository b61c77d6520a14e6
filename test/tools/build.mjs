import { join } from "node:path";
import { run } from "./packages.mjs";

const root = join(import.meta.dirname, "../..");

/** Builds the bundles, and those of the tests if wanted. @param {{tests?: boolean}} [options] */
export function build({ tests = false } = {}) {
  run([process.execPath, join(root, "build.mjs"), ...(tests ? ["--tests"] : [])], { cwd: root });
}
