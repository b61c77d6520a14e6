/**
 * Gets what tests need onto this machine: Debian packages and npm packages.
 *
 * Runs before anything is installed, so it has no dependencies. It says what it does on stderr, so that stdout stays
 * free for the result of whichever program asked for it.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";

/** Somebody else's apt may hold the lock (unattended-upgrades, a second test run): waiting beats failing at once. */
const APT_LOCK_SECONDS = 300;

const STAMP = ".diskloom-stamp";

/**
 * Makes sure that Debian packages are installed, and says so when that takes an installation.
 *
 * @param {string[]} names packages, as `apt-get install` knows them
 * @param {string} why what they are wanted for; reads on after "for"
 * @returns {string[]} the packages that had to be installed
 * @throws {Error} naming the packages, the reason and the command for a person with root, when we can't install them
 */
export function ensureDebianPackages(names, why) {
  const missing = names.filter((name) => !isDebianPackageInstalled(name));
  if (missing.length === 0) return [];

  const install = ["apt-get", "install", "-y", "--no-install-recommends", ...missing];
  const asRoot = wayToRoot();
  if (!asRoot || !isOnPath("apt-get")) {
    throw new Error(
      `Missing for ${why}: ${missing.join(", ")}. They can't be installed from here ` +
        `(${asRoot ? "there is no apt-get" : "not root, and sudo wants a password"}). ` +
        `As root, run: apt-get update && ${install.join(" ")}`,
    );
  }

  say(`installing ${missing.join(", ")} (Debian packages, for ${why})`);
  // Assignments on env(1)'s command line survive sudo, which drops the environment.
  const apt = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", `DPkg::Lock::Timeout=${APT_LOCK_SECONDS}`];
  const [program = "env", ...args] = [...asRoot, ...apt];
  run([program, ...args, "update"]);
  run([program, ...args, ...install.slice(1)]);
  return missing;
}

/**
 * Makes sure that a folder's node_modules is what its lockfile says, and says so when that takes an installation.
 *
 * @param {string} folder has a package-lock.json or an npm-shrinkwrap.json
 * @param {object} [options]
 * @param {string[]} [options.args] more arguments for npm
 * @param {"ci" | "install"} [options.command] "install" only where somebody else's lockfile is too sloppy for `npm ci`
 * @returns {boolean} whether packages had to be installed
 */
export function ensureNpmPackages(folder, { args = [], command = "ci" } = {}) {
  const lockfile = ["npm-shrinkwrap.json", "package-lock.json"]
    .map((name) => join(folder, name))
    .find((path) => existsSync(path));
  if (!lockfile) throw new Error(`No package-lock.json in ${folder}`);

  const stampFile = join(folder, "node_modules", STAMP);
  const stamp = () => createHash("sha256").update(readFileSync(lockfile)).update(args.join("\0")).digest("hex");
  if (existsSync(stampFile) && readFileSync(stampFile, "utf8") === stamp()) return false;

  say(`installing npm packages in ${relative(process.cwd(), folder) || "."}`);
  // npm's opinion about our Node is none of these packages' business: code-server brings the Node it runs on.
  run(["npm", command, "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error", ...args], {
    cwd: folder,
  });
  // Taken anew: `npm install` may have put the lockfile right.
  writeFileSync(stampFile, stamp());
  return true;
}

/**
 * Tells a person what is being done for them.
 *
 * @param {string} what
 */
export function say(what) {
  process.stderr.write(`setup: ${what}\n`);
}

/**
 * @param {string} program
 * @returns {boolean}
 */
export function isOnPath(program) {
  return (process.env.PATH ?? "").split(":").some((folder) => existsSync(join(folder, program)));
}

/**
 * Runs a program quietly: its output is only of interest when it fails.
 *
 * @param {[program: string, ...args: string[]]} command
 * @param {{cwd?: string, env?: NodeJS.ProcessEnv, input?: string}} [options] `input` is what it reads from its stdin
 * @returns {string} what it wrote to its stdout
 */
export function run(command, options = {}) {
  const [program, ...args] = command;
  const result = spawnSync(program, args, {
    ...options,
    stdio: [options.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
    encoding: "utf8",
    // apt and npm can be wordy; cut off at the default 1 MiB they would be killed.
    maxBuffer: 64 * 1024 * 1024,
  });
  if (result.status === 0) return result.stdout;
  const reason = result.error?.message ?? `ended with ${result.status ?? result.signal}`;
  throw new Error([`${command.join(" ")}: ${reason}`, result.stdout, result.stderr].filter(Boolean).join("\n"));
}

/**
 * @param {string} name
 * @returns {boolean}
 */
function isDebianPackageInstalled(name) {
  // dpkg-query also knows packages that were removed but not purged; only this status means that the files are there.
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own syntax
  const query = spawnSync("dpkg-query", ["-W", "-f", "${db:Status-Status}\n", name], { encoding: "utf8" });
  return query.status === 0 && query.stdout.split("\n").includes("installed");
}

/** @returns {string[] | undefined} what to put before a command so that it runs as root, or undefined if there is no way */
function wayToRoot() {
  if (process.getuid?.() === 0) return [];
  // -n: a test run must never sit waiting for a password that nobody types.
  if (isOnPath("sudo") && spawnSync("sudo", ["-n", "true"], { stdio: "ignore" }).status === 0) return ["sudo", "-n"];
  return undefined;
}
