/**
 * Runs a command as root in a throw-away virtual machine: a Debian kernel over this machine's files.
 *
 *     node test/guest/vm/run.mjs [OPTION…] -- COMMAND [ARGUMENT…]
 *
 *       --kernel META       Debian's meta package of the kernel
 *       --limit SECONDS     how long the command may take
 *       --memory MIB        the machine's memory
 *       --env NAME=VALUE    more environment for the command; may be repeated
 *       --artifacts FOLDER  where to put what the command leaves in $DISKLOOM_GUEST_SHARE
 *       --timing            say how long it took
 */
import { realpathSync } from "node:fs";
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import { say } from "../../tools/packages.mjs";
import { runMachine } from "./machine.mjs";
import { ensureGuest } from "./setup.mjs";

const SHARE = "/run/guest/share";
const SYSTEM_PATH = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/** What the command line ends with if there is no exit status to pass on, as env(1) and timeout(1) do. */
const NO_STATUS = 125;

/**
 * @typedef {object} GuestRun
 * @property {string[]} command a program, looked for beside this Node and in the system's folders; its arguments
 * @property {string | undefined} [cwd] ours unless given
 * @property {Record<string, string> | undefined} [env] added to the guest's own few; ours are not passed on
 * @property {number | undefined} [limitSeconds] for the command, counted from when the guest is up
 * @property {number | undefined} [memoryMiB] three quarters of it for files written in the guest
 * @property {string | undefined} [kernel] Debian's meta package
 * @property {string | undefined} [artifacts] where to copy what the command leaves in $DISKLOOM_GUEST_SHARE
 * @property {boolean} [timing] say on stderr how long it took
 * @property {(chunk: Buffer) => void} [onStdout] to our own stdout unless given
 * @property {(chunk: Buffer) => void} [onStderr] to our own stderr unless given
 */

/**
 * Runs a command as root in the guest. Its files are the host's as they are now; what it changes is gone afterwards.
 *
 * A guest that dies is started once more, since emulated machines now and then do; the command then runs again from its
 * beginning.
 *
 * @param {GuestRun} run
 * @returns {Promise<number>} the command's exit status; 126 and 127 as a shell gives them
 * @throws {Error} if there is none: the guest died twice, or the command took longer than its limit
 */
export async function runInGuest({
  command,
  cwd = process.cwd(),
  env = {},
  limitSeconds = 600,
  memoryMiB = 2048,
  kernel,
  artifacts,
  timing = false,
  onStdout = (chunk) => process.stdout.write(chunk),
  onStderr = (chunk) => process.stderr.write(chunk),
}) {
  const guest = await ensureGuest({ kernel });
  const script = scriptOf(command, cwd, { PATH: guestPath(), DISKLOOM_GUEST_SHARE: SHARE, ...env });
  const job = { script, limitSeconds, memoryMiB, artifacts, onStdout, onStderr };

  const start = Date.now();
  let outcome = await runMachine(guest, job);
  if (outcome.status === undefined && !outcome.limitReached) {
    say(`the guest ended without an exit status and is started once more: ${outcome.story}`);
    outcome = await runMachine(guest, job);
  }
  if (outcome.status === undefined) throw new Error(`The guest gave no exit status: ${outcome.story}`);
  if (timing) {
    const { readySeconds = 0, endSeconds = 0 } = outcome;
    const seconds = [readySeconds, endSeconds - readySeconds, (Date.now() - start) / 1000].map((s) => s.toFixed(2));
    say(`guest (${guest.kernel.release}): up in ${seconds[0]} s, command ${seconds[1]} s, in all ${seconds[2]} s`);
  }
  return outcome.status;
}

/**
 * @param {string[]} command
 * @param {string} cwd
 * @param {Record<string, string>} env
 */
function scriptOf(command, cwd, env) {
  if (command.length === 0) throw new Error("No command for the guest");
  const exports = Object.entries(env).map(([name, value]) => {
    if (!/^[A-Za-z_]\w*$/.test(name)) throw new Error(`Not a name for an environment variable: ${name}`);
    return `export ${name}=${quote(value)}`;
  });
  return [...exports, `cd ${quote(cwd)} || exit 126`, `exec ${command.map(quote).join(" ")}`, ""].join("\n");
}

/** So that "node" in the guest is the one that runs us, wherever it is installed. */
function guestPath() {
  return [...new Set([dirname(process.execPath), ...SYSTEM_PATH])].join(":");
}

/** @param {string} word */
function quote(word) {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

/** @param {string[]} args */
async function main(args) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      kernel: { type: "string" },
      limit: { type: "string" },
      memory: { type: "string" },
      env: { type: "string", multiple: true, default: [] },
      artifacts: { type: "string" },
      timing: { type: "boolean", default: false },
    },
  });
  const number = (/** @type {string | undefined} */ text) => (text === undefined ? undefined : Number(text));
  return runInGuest({
    command: positionals,
    env: Object.fromEntries((values.env ?? []).map((pair) => pair.split(/=(.*)/s, 2))),
    kernel: values.kernel,
    limitSeconds: number(values.limit),
    memoryMiB: number(values.memory),
    artifacts: values.artifacts,
    timing: values.timing,
  });
}

if (process.argv[1] && realpathSync(process.argv[1]) === import.meta.filename) {
  // Whoever reads our output may leave ("| head"); the exit then takes the guest with it.
  process.stdout.on("error", () => process.exit(NO_STATUS));
  try {
    process.exitCode = await main(process.argv.slice(2));
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = NO_STATUS;
  }
}
