#!/usr/bin/env node
/**
 * Stands in for the desktop `code` executable: takes the arguments that @vscode/test-electron starts it with, and runs
 * them in code-server and a headless Chromium. So one test entry serves here and on a desktop.
 *
 * DISKLOOM_CODE_SECONDS limits how long a run may take (300), DISKLOOM_CODE_VERBOSE=1 shows what is going on.
 */
import { resolve } from "node:path";
import { format } from "node:util";
import { openBrowser } from "./browser.mjs";
import { neutralEnvironment, runCommandLine, serve } from "./serve.mjs";
import { ensureVsCode } from "./setup.mjs";

const LIMIT_SECONDS = Number(process.env.DISKLOOM_CODE_SECONDS ?? 300);
const VERBOSE = Boolean(process.env.DISKLOOM_CODE_VERBOSE);

/** How long a start that is under way when we are told to end may take, and how long the end itself. */
const END_SECONDS = 15;

/** What VS Code itself, not the suite, writes to the console: at its start, and when its extension host is gone. */
const NOISE = [
  /^(Ignoring fetching additional|Updating additional builtin|Creating a socket|Resolv(ing|ed) connection token)/,
  /^(Creation of workbench contribution|No search provider registered|An unknown error occurred\.)/,
  /^\[(reconnection-grace-time|Service Worker|AgentHost:remote|AccountPolicyGate|DefaultAccount|remote-connection)\]/,
  // Errors of the page; those of extensions have stacks from the extension host.
  /\n\s+at .*\/static\/out\/vs\/code\/browser\/workbench\/workbench\.js:/,
];

/** Options that take the next argument as their value where there is no `=`. */
const WITH_VALUE = new Set([
  ...["extensionDevelopmentPath", "extensionTestsPath", "user-data-dir", "extensions-dir", "folder-uri", "file-uri"],
  ...[
    "install-extension",
    "uninstall-extension",
    "enable-proposed-api",
    "disable-extension",
    "locale",
    "log",
    "profile",
  ],
]);

/** Options with which `code` opens no window. */
const COMMAND_LINE_ONLY = ["install-extension", "uninstall-extension", "list-extensions", "show-versions", "version"];

/** @typedef {{options: Map<string, string[]>, paths: string[]}} Arguments options without a value have an empty one */

/** @type {import("./serve.mjs").Served | undefined} */
let served;
/** @type {import("./browser.mjs").Browser | undefined} */
let browser;
/** @type {Promise<void> | undefined} */
let starting;
let isEnding = false;

for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) {
  process.on(signal, () => void end(130, `got ${signal}`));
}
starting = main(parse(process.argv.slice(2))).catch(
  (error) => void end(1, error instanceof Error ? error.stack : String(error)),
);

/** @param {Arguments} given */
async function main(given) {
  ensureVsCode();
  if (COMMAND_LINE_ONLY.some((name) => given.options.has(name))) {
    process.exitCode = await commandLine(given);
    return;
  }

  setTimeout(() => void end(1, `no end after ${LIMIT_SECONDS} s`), LIMIT_SECONDS * 1000).unref();
  const proposed = (given.options.get("enable-proposed-api") ?? []).flatMap((name) => ["--enable-proposed-api", name]);
  served = await serve({
    userDataFolder: given.options.get("user-data-dir")?.at(-1),
    extensionsFolder: given.options.get("extensions-dir")?.at(-1),
    // Only with its smoke test driver does VS Code in a browser heed extensionDevelopmentPath and extensionTestsPath.
    args: ["--vscode-option", "enable-smoke-test-driver", ...proposed.filter(Boolean)],
  });
  if (isEnding) return;
  void served.ended.then((how) => end(1, how));
  browser = await openBrowser(served, { ...target(given), payload: payload(given, served.host), prepare: attachSuite });
  note("the workbench is there");
}

/**
 * Lets the suite's output and its end out of the page.
 *
 * @param {import("playwright-core").Page} page
 */
async function attachSuite(page) {
  await page.exposeFunction("codeAutomationLog", (/** @type {string} */ level, /** @type {unknown[]} */ values) => {
    // The extension host hands on what console.log() was given, with its %s and %d.
    const text = format(...values);
    if (!VERBOSE && NOISE.some((noise) => noise.test(text))) return;
    (level === "error" || level === "warn" ? process.stderr : process.stdout).write(`${text}\n`);
  });
  await page.exposeFunction("codeAutomationExit", async (/** @type {unknown} */ reported) => {
    const code = Number(reported) || 0;
    const death = await extensionHostEnd();
    // The page reports a dead extension host as 0, and so does not know better than the server.
    if (code === 0 && death !== "0") await end(1, `the extension host died (${death ?? "its end was not seen"})`);
    else await end(code, code ? `the extension host ended with ${code}` : undefined);
  });
  page.on("crash", () => void end(1, "the page crashed"));
  page.on("close", () => void end(1, "the page was closed"));
  page.on("pageerror", (error) => note(`error in the page: ${error.message}`));
  if (VERBOSE) page.on("console", (message) => note(`${message.type()}: ${message.text().slice(0, 400)}`));
}

/**
 * How the extension host ended, as told by the server's log. The line comes a moment after the page's report.
 *
 * @returns {Promise<string | undefined>} "0" when all was well
 */
async function extensionHostEnd() {
  for (let tries = 0; tries < 30; tries++) {
    const ends = [
      ...(served?.log() ?? "").matchAll(/Extension Host Process exited with code: (\S+), signal: (\S+?)\.?$/gm),
    ];
    if (ends.length > 0) {
      const bad = ends.find(([, code]) => code !== "0");
      return bad ? `code ${bad[1]}, signal ${bad[2]}` : "0";
    }
    await new Promise((done) => setTimeout(done, 100));
  }
  return undefined;
}

/**
 * Ends everything that was started, then this process.
 *
 * @param {number} code
 * @param {string} [why]
 */
async function end(code, why) {
  if (isEnding) return;
  isEnding = true;
  if (why && code !== 0) process.stderr.write(`code: ${why}\n`);
  if (VERBOSE && served) process.stderr.write(served.log());
  // Not unref'd: what is stuck must not keep us, and leaving by exit() still ends processes and removes folders.
  setTimeout(() => process.exit(code || 1), END_SECONDS * 1000);
  try {
    // What is just being started can't be ended yet. When main itself brought us here, it is past that.
    await starting;
    await browser?.close();
    await served?.close();
  } catch (error) {
    process.stderr.write(`code: ${String(error)}\n`);
    code ||= 1;
  }
  process.exit(code);
}

/**
 * @param {string[]} given
 * @returns {Arguments}
 */
function parse(given) {
  /** @type {Arguments} */
  const parsed = { options: new Map(), paths: [] };
  for (let index = 0; index < given.length; index++) {
    const argument = given[index] ?? "";
    const [, name, value] = /^--([^=]+)(?:=(.*))?$/s.exec(argument) ?? [];
    if (name === undefined) {
      parsed.paths.push(argument);
      continue;
    }
    const next = given[index + 1];
    const takesNext = value === undefined && WITH_VALUE.has(name) && next !== undefined && !next.startsWith("--");
    if (takesNext) index++;
    parsed.options.set(name, [...(parsed.options.get(name) ?? []), (takesNext ? next : value) ?? ""]);
  }
  return parsed;
}

/**
 * What the window opens: a folder, a workspace or nothing.
 *
 * @param {Arguments} given
 * @returns {{folder?: string, workspace?: string}}
 */
function target({ options, paths }) {
  const uri = options.get("folder-uri")?.at(-1);
  const path = uri ? decodeURIComponent(new URL(uri).pathname) : paths[0] && resolve(paths[0]);
  if (!path) return {};
  return path.endsWith(".code-workspace") ? { workspace: path } : { folder: path };
}

/**
 * @param {Arguments} given
 * @param {string} host
 * @returns {[string, string][]}
 */
function payload({ options }, host) {
  const remote = (/** @type {string} */ path) => `vscode-remote://${host}${encodeURI(resolve(path))}`;
  /** @type {[string, string][]} */
  const entries = (options.get("extensionDevelopmentPath") ?? []).map((path) => [
    "extensionDevelopmentPath",
    remote(path),
  ]);
  const tests = options.get("extensionTestsPath")?.at(-1);
  if (tests) entries.push(["extensionTestsPath", remote(tests)]);
  if (options.has("disable-extensions")) entries.push(["disableExtensions", "true"]);
  if (options.has("skip-welcome")) entries.push(["skipWelcome", "true"]);
  if (options.has("skip-release-notes")) entries.push(["skipReleaseNotes", "true"]);
  const proposed = options.get("enable-proposed-api");
  if (proposed) entries.push(["enableProposedApi", proposed.filter(Boolean).join(",")]);
  return entries;
}

/**
 * @param {Arguments} given
 * @returns {Promise<number>}
 */
async function commandLine({ options }) {
  const passed = [...COMMAND_LINE_ONLY, "force", "user-data-dir", "extensions-dir"];
  const args = passed.flatMap((name) =>
    (options.get(name) ?? []).flatMap((value) => (value ? [`--${name}`, value] : [`--${name}`])),
  );
  // /dev/null: without a config file of its own, code-server would write one into HOME.
  const all = [...args, "--config", "/dev/null"];
  return (await runCommandLine(all, { env: neutralEnvironment(), stdio: "inherit" })).status;
}

/** @param {string} what */
function note(what) {
  if (VERBOSE) process.stderr.write(`code: +${Math.round(performance.now())} ms ${what}\n`);
}
