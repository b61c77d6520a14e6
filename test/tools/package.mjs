/* `npm run package`: the .vsix for this platform. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "./build.mjs";
import { run } from "./packages.mjs";

const root = join(import.meta.dirname, "../..");

/**
 * Packs what is built.
 *
 * @returns {string} the .vsix file
 */
export function packageExtension() {
  const target = `linux-${process.arch}`;
  const file = join(root, `diskloom-${target}.vsix`);
  if (!existsSync(join(root, "dist/extension.js"))) {
    build();
  }
  run(
    [
      process.execPath,
      join(root, "node_modules/@vscode/vsce/vsce"),
      "package",
      "--no-dependencies",
      // README.md shows pictures of the checkout, which stay there.
      "--no-rewrite-relative-links",
      "--allow-missing-repository",
      "--target",
      target,
      "--out",
      file,
    ],
    { cwd: root },
  );
  return file;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  build();
  console.log(packageExtension());
}
