/*
 * `npm start`: builds the extension, makes sample images and opens a real VS Code with both: the desktop's `code` where
 * there is one, else code-server, to be opened in a browser.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { ensureNpmPackages, isOnPath, say } from "./packages.mjs";
import { makeSample } from "./sample.mjs";

const root = join(import.meta.dirname, "../..");
const sample = join(root, ".sample");
const port = Number(process.env.DISKLOOM_PORT ?? 8123);

ensureNpmPackages(root, { args: ["--ignore-scripts"] });
// Only now: these need what was just installed.
const { build } = await import("./build.mjs");
const { packageExtension } = await import("./package.mjs");

say("building the extension");
build();
makeSample(sample);

if (process.env.DISPLAY && isOnPath("code")) {
  say("opening VS Code");
  spawnSync("code", ["--new-window", `--extensionDevelopmentPath=${root}`, sample], { stdio: "inherit" });
} else {
  const { ensureVsCode } = await import("../vscode/host/setup.mjs");
  const { serve } = await import("../vscode/host/serve.mjs");
  ensureVsCode();
  const served = await serve({ longLived: true, port, vsix: [packageExtension()] });
  const end = () => void served.close().then(() => process.exit(0));
  process.on("SIGINT", end);
  process.on("SIGTERM", end);
  console.log(`
There is no desktop VS Code here, so this is one for the browser:

  open      ${served.address({ folder: sample })}
  password  ${served.password}

Right-click rootfs.img in the Explorer and choose "Attach as Loop Device". Ctrl+C ends it.
${process.getuid?.() === 0 ? "" : "\nYou are not root: attaching works where sudo asks you for no password.\n"}`);
  await served.ended;
}
