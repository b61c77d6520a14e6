/**
 * Gets a real VS Code onto this machine: code-server and its Node from npm, Chromium and fonts from Debian.
 *
 * Kept between runs; once all is there, this takes milliseconds and says nothing.
 */
import { existsSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { ensureDebianPackages, ensureNpmPackages, isOnPath, run, say } from "../../tools/packages.mjs";
import { HOST_FOLDER, NODE_FOLDER, VS_CODE_FOLDER } from "./places.mjs";

const WHY = "a real VS Code to test in";

/**
 * Installs what is missing for a VS Code to test in, unless VSCODE_EXECUTABLE names a desktop VS Code.
 *
 * @throws {Error} saying what a person has to do, where this can't be done from here
 */
export function ensureVsCode() {
  if (process.env.VSCODE_EXECUTABLE) return;
  // Scripts are off: code-server's own would refuse our Node, then compile a dozen modules that have prebuilt binaries
  // or that nothing here uses.
  ensureNpmPackages(HOST_FOLDER, { args: ["--ignore-scripts"] });
  // Its lockfile lacks a package that it needs, which `npm ci` refuses.
  ensureNpmPackages(VS_CODE_FOLDER, { command: "install", args: ["--ignore-scripts", "--omit=dev", "--no-save"] });
  buildNativeModules();
  ensureBrowser();
}

/**
 * Installs Chromium and a font, where missing. Without a font Chromium draws no text, and screenshots show nothing.
 */
export function ensureBrowser() {
  ensureDebianPackages(process.env.CHROMIUM_EXECUTABLE ? [] : ["chromium", "fonts-liberation"], WHY);
}

/**
 * Builds the two modules that have no prebuilt binary, if there is a compiler. VS Code runs without them, but then
 * keeps no log files and its extension host outlives a server that was killed.
 */
function buildNativeModules() {
  const stamp = `${VS_CODE_FOLDER}/node_modules/.diskloom-native-modules`;
  if (existsSync(stamp) || !["g++", "make", "python3"].every(isOnPath)) return;
  say("compiling two native modules of VS Code");
  try {
    run(["npm", "rebuild", "--loglevel=error", "@vscode/spdlog", "@vscode/native-watchdog"], {
      cwd: VS_CODE_FOLDER,
      // The headers come with this Node, so node-gyp need not download any.
      env: {
        ...process.env,
        PATH: `${NODE_FOLDER}/bin:${process.env.PATH}`,
        npm_config_nodedir: NODE_FOLDER,
      },
    });
  } catch (error) {
    say(`they did not compile; going on without them (${String(error).split("\n")[0]})`);
  }
  // Also after a failure: it would fail again, and cost a minute in every run.
  writeFileSync(stamp, "");
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) ensureVsCode();
