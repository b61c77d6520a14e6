/*
 * Becoming root by polkit: the desktop's own dialog, by the npm package sudo-prompt. That hands out no stdio of what it
 * runs, so the helper's stdin and stdout are two FIFOs in a folder that only this user can enter. An installed helper
 * is run by pkexec itself, which hands them on.
 *
 * sudo-prompt is run in a process of our own (programs/polkit.ts): it works on a command line for two shells, and
 * puts this process's folder and environment into it.
 */
import { execFileSync } from "node:child_process";
import { closeSync, constants, openSync } from "node:fs";
import { Socket } from "node:net";
import { join } from "node:path";
import { Writable } from "node:stream";
import { NO_AGENT, noNewPrivileges, PKEXEC_MISSING, polkitRefusal } from "./advice";
import type { Surroundings } from "./elevation";
import { type Machine, SYSTEM_PATH } from "./machine";
import { privateFolder } from "./privateFolder";
import { type Listener, spawnHelper } from "./process";
import { forSudoPrompt, quoted } from "./quoting";
import { asNode, asRoot, type Command } from "./runtime";
import type { RunningHelper, Way } from "./way";

/** polkit's action for running whatever has none of its own, pkexec(1). */
export const ANY_PROGRAM = "org.freedesktop.policykit.exec";

/** @param asked whether the user has asked for polkit, rather than us looking for a way */
export function polkit({ machine, listen, programs, action }: Omit<Surroundings, "ask">, asked: boolean): Way {
  return {
    name: "polkit",
    async obstacle() {
      const obstacle = noNewPrivileges(machine) ?? (machine.find("pkexec") ? undefined : PKEXEC_MISSING);
      if (obstacle || asked) {
        return obstacle;
      }
      const answer = await machine.polkitAnswer(action);
      return answer === "yes" || machine.hasDesktop() ? undefined : NO_AGENT;
    },
    start: (helper) =>
      helper.installed
        ? spawnHelper(pkexecCommand(machine, helper), listen)
        : start(helper, listen, join(programs, "polkit.js")),
    refusal: polkitRefusal,
  };
}

/** polkit has an action of its own only for the very program that pkexec is given, so sudo-prompt's shell is in the way. */
function pkexecCommand(machine: Machine, helper: Command): Command {
  return {
    program: machine.find("pkexec") ?? "pkexec",
    args: ["--disable-internal-agent", ...asRoot(helper)],
    // Its words are to be English: advice follows from them.
    environment: { PATH: SYSTEM_PATH, LANG: "C.UTF-8" },
  };
}

async function start(helper: Command, listen: Listener, program: string): Promise<RunningHelper> {
  const folder = privateFolder(false);
  const [stdin, stdout] = [join(folder.path, "stdin"), join(folder.path, "stdout")];
  let pipes: Pipes | undefined;
  try {
    execFileSync("mkfifo", ["-m", "600", "--", stdin, stdout], { env: { PATH: SYSTEM_PATH } });
    pipes = openPipes(stdin, stdout);
    // A group of its own, so that it can end pkexec as well, whose dialog is of no use without us.
    const runner = await spawnHelper(runnerCommand(program, helper, stdin, stdout), listen, true);
    const { input, output } = pipes;
    // Its stdout is of no use but to show that it has ended. Where the helper has run, its own end came before.
    runner.output.resume();
    runner.output.once("close", () => output.destroy());
    const close = () => {
      folder.remove();
      input.destroy();
      output.destroy();
      runner.close();
    };
    return { input, output, said: runner.said, ended: runner.ended, started: () => folder.remove(), close };
  } catch (error) {
    pipes?.input.destroy();
    pipes?.output.destroy();
    folder.remove();
    throw error;
  }
}

function runnerCommand(runner: string, helper: Command, stdin: string, stdout: string): Command {
  const [program, ...args] = asRoot(helper);
  // Append, as opening for writing would empty whatever might have been put in the FIFO's place.
  const line = `exec ${[program, ...args].map(quoted).join(" ")} < ${quoted(stdin)} >> ${quoted(stdout)}`;
  return {
    program: process.execPath,
    args: [runner, forSudoPrompt(line), stdin, stdout],
    environment: { PATH: SYSTEM_PATH, LANG: "C.UTF-8", ...asNode },
  };
}

interface Pipes {
  input: Writable;
  output: Socket;
}

/**
 * Our ends of the FIFOs, fifo(7). Opening one usually waits for the other end, which may be minutes away or never
 * come. So stdin is opened to read and write, which never waits; as we are its only writer, our end is still its end.
 * stdout is opened without waiting, and only to read, as else we would never see that the helper has ended. Before
 * there has been a writer, such a FIFO is not at its end but merely empty.
 */
function openPipes(stdin: string, stdout: string): Pipes {
  const { O_RDWR, O_RDONLY, O_NONBLOCK } = constants;
  const writing = openSync(stdin, O_RDWR | O_NONBLOCK);
  let reading: number;
  try {
    reading = openSync(stdout, O_RDONLY | O_NONBLOCK);
  } catch (error) {
    closeSync(writing);
    throw error;
  }
  const pipe = new Socket({ fd: writing, readable: false, writable: true });
  const output = new Socket({ fd: reading, readable: true, writable: false });
  pipe.on("error", () => {});
  // A FIFO knows no end but close(2), while a socket would be shut down first, which fails.
  const input = new Writable({
    write: (bytes, _, done) => void pipe.write(bytes, done),
    final(done) {
      pipe.destroy();
      done();
    },
    destroy(error, done) {
      pipe.destroy();
      done(error);
    },
  });
  input.on("error", () => {});
  return { input, output };
}
