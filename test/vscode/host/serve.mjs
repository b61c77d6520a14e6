/**
 * Serves a real VS Code (code-server) to browsers on this machine: for tests, and for a person with `npm start`.
 *
 * Whoever gets in acts with the rights of the user it runs as, often root, and every local user can reach a port on
 * 127.0.0.1. So there is always a password; where none is chosen it is a random one that only the caller learns.
 */
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { chownSync, copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { CLEAR_NOTIFICATIONS } from "./person.mjs";
import { CODE_SERVER, NODE } from "./places.mjs";
import { endGroup, killGroup } from "./processes.mjs";
import { temporaryFolder } from "./temporary.mjs";

const START_SECONDS = 60;

/** After this long without a browser a server ends itself, should its caller be killed before it could. */
const ORPHAN_SECONDS = 120;

/**
 * For so long, instead of three hours, an extension host waits for a window that is gone without a word: a page that is
 * left at once may not get its goodbye through.
 */
const LOST_WINDOW_SECONDS = 10;

const UNATTENDED_ARGS = [
  ...["--idle-timeout-seconds", String(ORPHAN_SECONDS)],
  ...["--reconnection-grace-time", String(LOST_WINDOW_SECONDS)],
];

/** Without an address VS Code has no gallery, asks nobody for updates and suggests no extensions. */
const NO_GALLERY = JSON.stringify({
  serviceUrl: "",
  itemUrl: "",
  resourceUrlTemplate: "",
  controlUrl: "",
  recommendationsUrl: "",
});

/** Nothing that opens by itself, moves, or asks the network: what is on the screen is there because of the test. */
const SETTINGS = {
  "chat.disableAIFeatures": true,
  "extensions.autoCheckUpdates": false,
  "extensions.autoUpdate": false,
  "extensions.ignoreRecommendations": true,
  "git.autofetch": false,
  "json.schemaDownload.enable": false,
  "npm.fetchOnlinePackageInfo": false,
  "telemetry.telemetryLevel": "off",
  "update.mode": "none",
  // Lets the browser choose between light, dark and high contrast.
  "window.autoDetectColorScheme": true,
  "window.commandCenter": false,
  "workbench.enableExperiments": false,
  "workbench.reduceMotion": "on",
  "workbench.secondarySideBar.defaultVisibility": "hidden",
  "workbench.settings.enableNaturalLanguageSearch": false,
  "workbench.startupEditor": "none",
  "workbench.tips.enabled": false,
};

/** Where no person is: what is said of the item under the mouse lies over others, which are to be clicked next. */
const UNATTENDED_SETTINGS = { "workbench.hover.delay": 24 * 60 * 60 * 1000 };

/** What a test has to do after each message, and VS Code has no keys for. */
const KEYBINDINGS = [{ key: CLEAR_NOTIFICATIONS, command: "notifications.clearAll" }];

/**
 * @typedef {object} ServeOptions
 * @property {string[]} [vsix] packaged extensions to install first
 * @property {string} [extensions] a folder with extensions that were installed before, to begin with a copy of it
 * @property {Record<string, unknown>} [settings] on top of those that keep VS Code quiet
 * @property {string | undefined} [userDataFolder] a folder that outlives the server, instead of a temporary one
 * @property {string | undefined} [extensionsFolder] likewise
 * @property {number} [port] a fixed one, instead of one that is free
 * @property {string} [password] a chosen one, instead of a random one
 * @property {boolean} [workspaceTrust] folders are not trusted before a person says so
 * @property {boolean} [longLived] for a person: don't end when no browser is connected
 * @property {number} [uid] run as this user; needs root
 * @property {number} [gid] run as this group; needs root
 * @property {string} [home] HOME of that user, instead of a temporary one
 * @property {NodeJS.ProcessEnv} [env] on top of this process's environment
 * @property {string[]} [args] more arguments for code-server
 */

/**
 * @typedef {object} Page
 * @property {string} [folder] folder to open
 * @property {string} [workspace] .code-workspace file to open
 * @property {[string, string][]} [payload] what VS Code reads from its address, extensionTestsPath for example
 */

/**
 * @typedef {object} Served
 * @property {number} pid the process that all others of it descend from
 * @property {string} url where it listens, without a slash at the end
 * @property {string} host the same as `name:port`
 * @property {string} password what the login page asks for
 * @property {(page?: Page) => string} address the url of a window on a folder or workspace
 * @property {() => string} log what the server has printed so far
 * @property {Promise<string>} ended resolves, once the server has ended, to how it did
 * @property {() => Promise<void>} close ends every process of it and removes its temporary folders
 */

/**
 * Starts code-server.
 *
 * @param {ServeOptions} [options]
 * @returns {Promise<Served>}
 */
export async function serve(options = {}) {
  const owner = { uid: options.uid, gid: options.gid ?? options.uid };
  const temporary = temporaryFolder("diskloom-vscode");
  const folder = temporary.path;
  try {
    own(folder, owner);
    const userData = ownedFolder(options.userDataFolder ?? join(folder, "user-data"), owner);
    const extensions = ownedFolder(options.extensionsFolder ?? join(folder, "extensions"), owner);
    const settings = { ...SETTINGS, ...(options.longLived ? {} : UNATTENDED_SETTINGS), ...options.settings };
    writeSettings(userData, owner, settings);

    const password = options.password ?? randomBytes(18).toString("base64url");
    const env = environment(folder, owner, options, password);
    const common = [
      ...["--user-data-dir", userData, "--extensions-dir", extensions, "--config", join(folder, "config.yaml")],
      ...["--disable-telemetry", "--disable-update-check", "--disable-getting-started-override"],
    ];
    if (options.extensions) copyExtensions(options.extensions, extensions, owner);
    if (options.vsix?.length) await install(options.vsix, folder, owner, common, env);

    const started = await start(
      [
        ...["--auth", "password", "--bind-addr", `127.0.0.1:${options.port ?? 0}`, "--disable-proxy"],
        // Cookies don't heed ports: without a name of its own, ours would log a person out of their own code-server.
        ...["--cookie-suffix", "diskloom", ...(options.workspaceTrust ? [] : ["--disable-workspace-trust"])],
        ...(options.longLived ? [] : UNATTENDED_ARGS),
        ...common,
        ...(options.args ?? []),
      ],
      { env, ...owner },
    );
    temporary.removeAfterOthers();
    return {
      ...started,
      password,
      host: new URL(started.url).host,
      address: (page = {}) => `${started.url}/?${query(page)}`,
      close: async () => {
        await started.close();
        temporary.remove();
      },
    };
  } catch (error) {
    temporary.remove();
    throw error;
  }
}

/**
 * Installs packaged extensions into a folder, for servers that begin with a copy of it.
 *
 * @param {string[]} vsix
 * @param {string} extensions
 */
export async function installInto(vsix, extensions) {
  const temporary = temporaryFolder("diskloom-install");
  try {
    const folders = ["--user-data-dir", join(temporary.path, "user-data"), "--extensions-dir", extensions];
    const common = [...folders, "--config", join(temporary.path, "config.yaml")];
    await install(vsix, temporary.path, { uid: undefined, gid: undefined }, common, neutralEnvironment());
  } finally {
    temporary.remove();
  }
}

/**
 * Runs code-server for its command line only, for example to list extensions.
 *
 * @param {string[]} args
 * @param {{env?: NodeJS.ProcessEnv, uid?: number | undefined, gid?: number | undefined, stdio?: "inherit" | "pipe"}} [options]
 * @returns {Promise<{status: number, output: string}>}
 */
export function runCommandLine(args, { stdio = "pipe", ...options } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(NODE, [CODE_SERVER, ...args], { ...options, stdio: ["ignore", stdio, stdio] });
    let output = "";
    child.stdout?.on("data", (data) => (output += data));
    child.stderr?.on("data", (data) => (output += data));
    child.on("error", reject);
    child.on("close", (status) => resolve({ status: status ?? 1, output }));
  });
}

/**
 * What of this process's environment code-server may see. In a terminal of a VS Code there are variables that would
 * make it talk to that VS Code; PORT and PASSWORD are common names that it would take as meant for it.
 *
 * @returns {NodeJS.ProcessEnv}
 */
export function neutralEnvironment() {
  const foreign = /^(VSCODE_|CODE_SERVER_|CS_|ELECTRON_)|^(PORT|PASSWORD|HASHED_PASSWORD|GITHUB_TOKEN|LOG_LEVEL)$/;
  const kept = Object.entries(process.env).filter(([name]) => !foreign.test(name));
  return { ...Object.fromEntries(kept), EXTENSIONS_GALLERY: NO_GALLERY };
}

/** @typedef {{uid: number | undefined, gid: number | undefined}} Owner */

/**
 * @param {string} folder
 * @param {Owner} owner
 * @param {ServeOptions} options
 * @param {string} password
 * @returns {NodeJS.ProcessEnv}
 */
function environment(folder, owner, options, password) {
  const env = neutralEnvironment();
  // Nothing is left behind in HOME or /tmp, and nothing found there changes how a test goes.
  for (const name of [
    "XDG_DATA_HOME",
    "XDG_CONFIG_HOME",
    "XDG_CACHE_HOME",
    "XDG_STATE_HOME",
    "XDG_RUNTIME_DIR",
    "TMPDIR",
  ]) {
    env[name] = ownedFolder(join(folder, name.toLowerCase()), owner);
  }
  if (owner.uid !== undefined) env.HOME = options.home ?? ownedFolder(join(folder, "home"), owner);
  else if (options.home) env.HOME = options.home;
  // Hashed, since with a plain one code-server derives an argon2 key for every single request. Its own wrapper takes
  // the variable out of the environment again, so extensions and terminals don't see it.
  env.HASHED_PASSWORD = createHash("sha256").update(password).digest("hex");
  return { ...env, ...options.env };
}

/**
 * @param {string} userData
 * @param {Owner} owner
 * @param {Record<string, unknown>} settings
 */
function writeSettings(userData, owner, settings) {
  const folder = join(userData, "User");
  // A folder that outlives the server holds its person's own settings.
  if (existsSync(join(folder, "settings.json"))) return;
  ownedFolder(folder, owner);
  for (const [name, content] of Object.entries({ "settings.json": settings, "keybindings.json": KEYBINDINGS })) {
    const file = join(folder, name);
    writeFileSync(file, JSON.stringify(content, null, 2));
    own(file, owner);
  }
}

/**
 * @param {string[]} vsix
 * @param {string} folder
 * @param {Owner} owner
 * @param {string[]} common
 * @param {NodeJS.ProcessEnv} env
 */
async function install(vsix, folder, owner, common, env) {
  const args = vsix.flatMap((file) => {
    // A copy, as the folder it is in may be closed to the user that we run as.
    const copy = join(folder, basename(file));
    copyFileSync(file, copy);
    own(copy, owner);
    return ["--install-extension", copy];
  });
  const { status, output } = await runCommandLine([...args, ...common], { env, ...owner });
  if (status !== 0) throw new Error(`Installing ${vsix.join(", ")} failed:\n${output}`);
}

/**
 * @param {string} from
 * @param {string} to
 * @param {Owner} owner
 */
function copyExtensions(from, to, owner) {
  cpSync(from, to, { recursive: true });
  for (const name of readdirSync(to, { recursive: true, encoding: "utf8" })) own(join(to, name), owner);
}

/**
 * @param {string[]} args
 * @param {{env: NodeJS.ProcessEnv} & Owner} options
 * @returns {Promise<Pick<Served, "pid" | "url" | "log" | "ended" | "close">>}
 */
async function start(args, options) {
  // A process group of its own, so that the extension host and its children can be ended with it.
  const server = spawn(NODE, [CODE_SERVER, ...args], { ...options, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  /** @type {Promise<string>} */
  const ended = new Promise((resolve) => {
    server.on("error", (error) => resolve(error.message));
    server.on("exit", (code, signal) => resolve(`code-server ended with ${code ?? signal}`));
  });
  const group = server.pid;
  if (group === undefined) throw new Error(await ended);
  const killNow = () => killGroup(group, "SIGKILL");
  process.once("exit", killNow);
  const close = async () => {
    await endGroup(group);
    process.off("exit", killNow);
  };

  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  try {
    /** @type {string} */
    const url = await new Promise((resolve, reject) => {
      const read = (/** @type {Buffer} */ data) => {
        log += data;
        const listening = /HTTP server listening on (http:\/\/127\.0\.0\.1:\d+)/.exec(log);
        if (listening?.[1]) resolve(listening[1]);
      };
      server.stdout.on("data", read);
      server.stderr.on("data", read);
      void ended.then((how) => reject(new Error(`${how}:\n${log}`)));
      timer = setTimeout(
        () => reject(new Error(`code-server did not listen within ${START_SECONDS} s:\n${log}`)),
        START_SECONDS * 1000,
      );
    });
    return { pid: group, url, log: () => log, ended, close };
  } catch (error) {
    await close();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * @param {Page} page
 * @returns {string}
 */
function query({ folder, workspace, payload }) {
  const parameters = new URLSearchParams();
  if (workspace) parameters.set("workspace", workspace);
  else if (folder) parameters.set("folder", folder);
  // Without it, the folder that was open last would open again.
  else parameters.set("ew", "true");
  if (payload) parameters.set("payload", JSON.stringify(payload));
  return parameters.toString();
}

/**
 * @param {string} path
 * @param {Owner} owner
 * @returns {string}
 */
function ownedFolder(path, owner) {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  own(path, owner);
  return path;
}

/**
 * @param {string} path
 * @param {Owner} owner
 */
function own(path, { uid, gid }) {
  if (uid !== undefined && gid !== undefined) chownSync(path, uid, gid);
}
