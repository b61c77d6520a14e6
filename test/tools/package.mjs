/* `npm run package`: a .vsix for each platform, the same byte for byte wherever and whenever it is made. */
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { temporaryFolder } from "../vscode/host/temporary.mjs";
import { build } from "./build.mjs";
import { nativeFile } from "./native.mjs";
import { run } from "./packages.mjs";

const root = join(import.meta.dirname, "../..");
const vsce = join(root, "node_modules/@vscode/vsce/vsce");

/** As VS Code calls them. "alpine" is where the C library is musl. */
const TARGETS = ["linux-x64", "linux-arm64", "alpine-x64", "alpine-arm64"];

/** The oldest time that a zip file can tell, with which vsce also sorts what is in it. In UTC, as zip has local time. */
const SAME_EVERYWHERE = { SOURCE_DATE_EPOCH: String(Date.UTC(1980, 0, 1) / 1000), TZ: "UTC" };

/**
 * Packs what is built.
 *
 * @param {string} [target] one of TARGETS
 * @returns {string} the .vsix file
 */
export function packageExtension(target = `linux-${process.arch}`) {
  if (!existsSync(join(root, "dist/extension.js"))) {
    build();
  }
  const file = join(root, `diskloom-${target}.vsix`);
  const temporary = temporaryFolder("diskloom-package");
  try {
    stage(target, temporary.path);
    run(
      [
        process.execPath,
        vsce,
        "package",
        "--no-dependencies",
        // README.md shows pictures of the checkout, which stay there.
        "--no-rewrite-relative-links",
        "--allow-missing-repository",
        ...["--target", target],
        ...["--out", file],
      ],
      { cwd: temporary.path, env: { ...process.env, ...SAME_EVERYWHERE } },
    );
    return file;
  } finally {
    temporary.remove();
  }
}

/**
 * Copies what .vscodeignore lets through, and the native file of one platform.
 *
 * @param {string} target
 * @param {string} folder
 */
function stage(target, folder) {
  const files = run([process.execPath, vsce, "ls", "--no-dependencies"], { cwd: root }).split("\n").filter(Boolean);
  for (const name of files) {
    copy(join(root, name), join(folder, name));
  }
  const [system, arch = ""] = target.split("-");
  const libc = system === "alpine" ? "musl" : "glibc";
  copy(nativeFile(arch, libc), join(folder, "dist/native", `linux-${arch}-${libc}`, "koffi.node"));

  const { scripts, dependencies, devDependencies, ...manifest } = JSON.parse(
    readFileSync(join(folder, "package.json"), "utf8"),
  );
  writeFileSync(join(folder, "package.json"), JSON.stringify(manifest));
  // What isn't wanted is not here.
  writeFileSync(join(folder, ".vscodeignore"), "");
}

/** @param {string} from @param {string} to */
function copy(from, to) {
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(from, to);
  // The .vsix has it, too, and whoever checked out or built had a umask of their own.
  chmodSync(to, 0o644);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  build();
  for (const target of TARGETS) {
    console.log(packageExtension(target));
  }
}
