/**
 * One start of the guest's machine, from the boot to the power-off.
 */
import { spawn } from "node:child_process";
import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { qemuCommand, STDIO } from "./qemu.mjs";

/** It takes 5 s on a quiet machine. */
const BOOT_LIMIT_SECONDS = 120;

/** Powering off takes less than a second, but a stuck driver may keep the kernel from it. */
const POWER_OFF_LIMIT_SECONDS = 5;

const CONSOLE_LINES = 60;

/**
 * @typedef {object} Job
 * @property {string} script for the guest's /bin/sh
 * @property {number} limitSeconds counted from when the guest is up
 * @property {number} memoryMiB
 * @property {string | undefined} [artifacts] the folder to copy the result share to
 * @property {(chunk: Buffer) => void} onStdout
 * @property {(chunk: Buffer) => void} onStderr
 */

/**
 * @typedef {object} Outcome
 * @property {number} [status] the script's exit status; none if it never got to an end
 * @property {boolean} limitReached by the script, not by the boot
 * @property {string} story for people: how the machine ended, and its console's last lines
 * @property {number} [readySeconds] on the guest's clock, when the script was started
 * @property {number} [endSeconds] and when it ended
 */

/**
 * @param {import("./setup.mjs").Guest} guest
 * @param {Job} job
 * @returns {Promise<Outcome>}
 */
export async function runMachine(guest, job) {
  const folder = mkdtempSync(join(tmpdir(), "diskloom-guest-"));
  const paths = { control: join(folder, "control"), share: join(folder, "share"), console: join(folder, "console") };
  mkdirSync(paths.control);
  mkdirSync(paths.share);
  copyFileSync(join(import.meta.dirname, "stage2"), join(paths.control, "stage2"));
  writeFileSync(join(paths.control, "command"), job.script);

  const [program = "", ...args] = qemuCommand(guest, { ...paths, memoryMiB: job.memoryMiB });
  // Node's pipes are sockets, which is what QEMU's chardevs are told to expect.
  /** @type {import("node:child_process").ChildProcess} */
  const machine = spawn(program, args, { stdio: ["ignore", "ignore", "pipe", "pipe", "pipe", "pipe"] });
  const release = endWithUs(() => {
    machine.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  });
  try {
    const outcome = await watch(machine, job);
    if (outcome.status === undefined) outcome.story += lastLines(paths.console);
    if (job.artifacts !== undefined) cpSync(paths.share, job.artifacts, { recursive: true, verbatimSymlinks: true });
    return outcome;
  } finally {
    release();
  }
}

/**
 * Follows a machine to its end, and puts an end to it when its time is up.
 *
 * @param {import("node:child_process").ChildProcess} machine
 * @param {Job} job
 * @returns {Promise<Outcome>}
 */
function watch(machine, job) {
  return new Promise((resolve, reject) => {
    /** @type {Outcome} */
    const outcome = { limitReached: false, story: "" };
    let complaints = "";
    let lines = "";

    const boundTo = (/** @type {number} */ seconds, /** @type {() => void} */ whenOver) => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        whenOver();
        machine.kill("SIGKILL");
      }, seconds * 1000);
    };
    /** @type {NodeJS.Timeout | undefined} */
    let timer;
    boundTo(BOOT_LIMIT_SECONDS, () => (outcome.story = `it was not up after ${BOOT_LIMIT_SECONDS} s`));

    const port = (/** @type {number} */ fd) => /** @type {import("node:net").Socket} */ (machine.stdio[fd]);
    // A machine that is killed resets its sockets; that it ended is told by "close".
    for (const fd of Object.values(STDIO)) port(fd)?.on("error", () => {});
    port(STDIO.out)?.on("data", job.onStdout);
    port(STDIO.err)?.on("data", job.onStderr);
    port(STDIO.control)?.on("data", (chunk) => {
      lines += chunk;
      const complete = lines.split("\n");
      lines = /** @type {string} */ (complete.pop());
      for (const line of complete) {
        const [word, ...numbers] = line.split(" ");
        if (word === "ready") {
          outcome.readySeconds = Number(numbers[0]);
          boundTo(job.limitSeconds, () => {
            outcome.limitReached = true;
            outcome.story = `the command took longer than its ${job.limitSeconds} s`;
          });
        } else if (word === "status") {
          outcome.status = Number(numbers[0]);
          outcome.endSeconds = Number(numbers[1]);
          // All output has left the guest by now: a write to a port returns once QEMU has passed it on.
          boundTo(POWER_OFF_LIMIT_SECONDS, () => {});
        }
      }
    });
    machine.stderr?.on("data", (chunk) => (complaints += chunk));

    machine.on("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    machine.on("close", (code, signal) => {
      clearTimeout(timer);
      outcome.story ||= `QEMU ended with ${signal ?? code}`;
      if (complaints) outcome.story += `\n${complaints.trim()}`;
      resolve(outcome);
    });
  });
}

/**
 * @param {string} console
 */
function lastLines(console) {
  if (!existsSync(console)) return "";
  const lines = readFileSync(console, "utf8").replaceAll("\r", "").trimEnd().split("\n").slice(-CONSOLE_LINES);
  return `\nThe console's last lines:\n${lines.map((line) => `  ${line}\n`).join("")}`;
}

/**
 * Makes sure that a clean-up happens also when this process is asked to end.
 *
 * @param {() => void} cleanUp
 * @returns {() => void} cleans up now, and no longer at the end
 */
function endWithUs(cleanUp) {
  const signals = /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"]);
  const onSignal = (/** @type {NodeJS.Signals} */ signal) => {
    release();
    // If nobody else wants to handle it, it does what it would have done without us.
    if (process.listenerCount(signal) === 0) process.exit(128 + constants.signals[signal]);
  };
  const release = () => {
    process.off("exit", release);
    for (const signal of signals) process.off(signal, onSignal);
    cleanUp();
  };
  process.on("exit", release);
  for (const signal of signals) process.on(signal, onSignal);
  return release;
}
