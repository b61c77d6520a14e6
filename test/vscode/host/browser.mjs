/** Opens a headless Chromium on a served VS Code. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { CHROMIUM } from "./places.mjs";
import { temporaryFolder } from "./temporary.mjs";

const WORKBENCH_SECONDS = 60;

const FLAGS = [
  "--no-sandbox", // Chromium refuses to run as root with it, and all it loads is our own.
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // Nothing leaves the machine: no name but these resolves, for whatever part of Chromium asks (pages, webviews,
  // service workers, sockets), and no proxy resolves them for us.
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost, EXCLUDE *.localhost",
  "--no-proxy-server",
];

/** How Chromium has to look like so that VS Code chooses a theme. */
const THEMES = {
  dark: /** @type {const} */ ({ colorScheme: "dark", forcedColors: "none" }),
  light: /** @type {const} */ ({ colorScheme: "light", forcedColors: "none" }),
  "high contrast": /** @type {const} */ ({ colorScheme: "dark", forcedColors: "active" }),
};

/**
 * @typedef {object} BrowserOptions
 * @property {string} [folder] folder to open
 * @property {string} [workspace] .code-workspace file to open
 * @property {[string, string][]} [payload] what VS Code reads from its address
 * @property {{width: number, height: number}} [viewport]
 * @property {number} [scale] pixels for each of CSS's, for sharp pictures
 * @property {keyof typeof THEMES} [theme] unless the settings name a theme
 * @property {(page: import("playwright-core").Page) => Promise<void>} [prepare] runs before VS Code loads
 */

/**
 * @typedef {object} Browser
 * @property {import("playwright-core").Page} page
 * @property {import("playwright-core").BrowserContext} context
 * @property {string[]} blocked addresses off this machine that were asked for; none was reached
 * @property {() => Promise<void>} close
 */

/**
 * Opens a window on a served VS Code and waits for its workbench.
 *
 * @param {Pick<import("./serve.mjs").Served, "url" | "password" | "address">} served
 * @param {BrowserOptions} [options]
 * @returns {Promise<Browser>}
 */
export async function openBrowser(served, options = {}) {
  // Not at the top: this file may be loaded before the setup has installed it.
  const { chromium } = await import("playwright-core");
  const temporary = temporaryFolder("diskloom-chromium");
  /** @type {import("playwright-core").BrowserContext | undefined} */
  let context;
  const close = async () => {
    await context?.close();
    temporary.remove();
  };

  try {
    context = await chromium.launchPersistentContext(join(temporary.path, "user-data"), {
      executablePath: CHROMIUM,
      env: environment(temporary.path),
      viewport: options.viewport ?? { width: 1280, height: 800 },
      deviceScaleFactor: options.scale ?? 1,
      reducedMotion: "reduce",
      ...THEMES[options.theme ?? "dark"],
      args: FLAGS,
      // Whoever uses us decides what a signal means; by default Playwright would end the process.
      handleSIGINT: false,
      handleSIGTERM: false,
      handleSIGHUP: false,
    });
    // Playwright's own end of Chromium at exit has to come first.
    temporary.removeAfterOthers();
    const blocked = recordBlocked(context);
    await logIn(context, served);
    const page = context.pages()[0] ?? (await context.newPage());
    await options.prepare?.(page);
    await page.goto(served.address(options), { timeout: WORKBENCH_SECONDS * 1000 });
    await page.waitForSelector(".monaco-workbench", { timeout: WORKBENCH_SECONDS * 1000 });
    return { page, context, blocked, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/**
 * Chromium writes to many places in a home that --user-data-dir says nothing about.
 *
 * @param {string} folder
 * @returns {Record<string, string>}
 */
function environment(folder) {
  /** @type {Record<string, string>} */
  const env = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (value !== undefined && !name.startsWith("XDG_")) env[name] = value;
  }
  for (const name of ["HOME", "TMPDIR"]) {
    const path = join(folder, name.toLowerCase());
    mkdirSync(path);
    env[name] = path;
  }
  return env;
}

/**
 * @param {import("playwright-core").BrowserContext} context
 * @returns {string[]} grows as requests are made
 */
function recordBlocked(context) {
  /** @type {string[]} */
  const blocked = [];
  // Not by address: webviews ask for theirs at vscode-cdn.net, which VS Code's service worker answers from this machine.
  context.on("requestfailed", (request) => {
    if (request.failure()?.errorText === "net::ERR_NAME_NOT_RESOLVED") blocked.push(request.url());
  });
  return blocked;
}

/**
 * @param {import("playwright-core").BrowserContext} context
 * @param {Pick<import("./serve.mjs").Served, "url" | "password">} served
 */
async function logIn(context, { url, password }) {
  const answer = await context.request.post(`${url}/login`, { form: { password }, maxRedirects: 0 });
  if (answer.status() !== 302) throw new Error(`VS Code did not let us in: ${answer.status()} ${await answer.text()}`);
}
