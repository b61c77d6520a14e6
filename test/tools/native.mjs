/* koffi's native files. npm installs those of this machine's processor only; those of others come from the registry. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { run, say } from "./packages.mjs";

const root = join(import.meta.dirname, "../..");

/**
 * @param {string} arch as Node calls it: "x64", "arm64"
 * @param {"glibc" | "musl"} libc
 * @returns {string} the file that is to be loaded there
 */
export function nativeFile(arch, libc) {
  const name = `@koromix/koffi-linux-${arch}`;
  const installed = join(root, "node_modules", name);
  const folder = existsSync(installed) ? installed : fetched(name);
  return join(folder, `${libc === "musl" ? "musl" : "linux"}_${arch}`, "koffi.node");
}

/**
 * The contents of a package that npm refuses to install here, as the lockfile has it. Kept in node_modules.
 *
 * @param {string} name
 * @returns {string} a folder
 */
function fetched(name) {
  const lockfile = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
  /** @type {{version: string, integrity: string}} */
  const { version, integrity } = lockfile.packages[`node_modules/${name}`];
  const cache = join(root, "node_modules/.cache/diskloom");
  const folder = join(cache, `${name.replace("/", "-")}-${version}`);
  if (existsSync(folder)) return folder;

  say(`getting ${name} ${version} from npm's registry`);
  mkdirSync(cache, { recursive: true });
  const temporary = mkdtempSync(join(cache, "new-"));
  try {
    run(["npm", "pack", "--prefer-offline", "--loglevel=error", `${name}@${version}`], { cwd: temporary });
    const [archive = ""] = readdirSync(temporary);
    const hash = createHash("sha512")
      .update(readFileSync(join(temporary, archive)))
      .digest("base64");
    if (`sha512-${hash}` !== integrity) throw new Error(`${name} ${version} is not what package-lock.json says`);
    run(["tar", "--extract", "--no-same-owner", "--file", archive], { cwd: temporary });
    renameSync(join(temporary, "package"), folder);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  return folder;
}
