/*
 * Becoming root by sudo with a password, which VS Code's own box asks for: that works wherever VS Code does, also where
 * there is neither terminal nor desktop.
 *
 * `sudo -A` runs an askpass program and reads the password from its stdout. Ours (programs/askpass.ts) gets it from
 * here over a Unix socket in a folder that only this user can enter. The password is never in a file, an argument, an
 * environment variable or a log.
 *
 * Who is at the other end? Node can't ask the kernel (SO_PEERCRED). That it is a process of this user the folder's mode
 * says. That it is the askpass program of this very sudo it has to prove: it is told a random word and has to say it
 * on its stderr, which it has from sudo and sudo from us. That is a socket without a name, which no other process can
 * open, not even by /proc. So a process that finds our socket and calls first gets nothing, and ends the try.
 */
import { randomBytes } from "node:crypto";
import { chmodSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { l10n } from "vscode";
import { sudoRefusal } from "./advice";
import type { Machine } from "./machine";
import { type PrivateFolder, privateFolder } from "./privateFolder";
import { type Listener, spawnHelper } from "./process";
import { asNode, type Command } from "./runtime";
import { sudoCommand, sudoObstacle } from "./sudo";
import type { Refusal, RunningHelper, Way } from "./way";

/** Wrong passwords that are taken. sudo's own limit is the same, but can be set otherwise. */
const TRIES = 3;
/** What a caller may take to prove itself, in milliseconds. */
const PROOF_TIMEOUT = 20_000;
const LONGEST_PROMPT = 4096;
/** Runs the program with what is in the environment, so that nothing has to be quoted; sudo gives it the prompt. */
const SCRIPT = '#!/bin/sh\nexec "$DISKLOOM_ASKPASS_RUNTIME" "$DISKLOOM_ASKPASS_PROGRAM" "$1"\n';

/** What the user is asked. */
export interface Question {
  /** What sudo or a module of PAM asks for: a password, as a rule, but it can be a code as well. */
  prompt: string;
  /** What was entered before was wrong. */
  again: boolean;
  user: string;
  host: string;
}

/**
 * Asks the user.
 * @param gone aborted when nobody waits for the answer any more
 * @returns `undefined` where the user doesn't want to answer
 */
export type Ask = (question: Question, gone: AbortSignal) => Promise<string | undefined>;

export class Askpass implements Way {
  readonly name = "sudo with a password";
  #end: Refusal | undefined;
  #asked = new Map<string, number>();
  #proofs = new Map<string, () => void>();
  #caller: Socket | undefined;

  constructor(
    readonly machine: Machine,
    readonly listen: Listener,
    readonly ask: Ask,
    /** Where the program is that sudo asks by. */
    readonly programs: string,
  ) {}

  async obstacle(): Promise<string | undefined> {
    return sudoObstacle(this.machine);
  }

  async start(helper: Command): Promise<RunningHelper> {
    const folder = privateFolder(true);
    const server = createServer((socket) => void this.#answer(socket));
    const clean = () => {
      server.close();
      this.#caller?.destroy();
      folder.remove();
    };
    try {
      const environment = await prepare(folder, server, join(this.programs, "askpass.js"));
      const command = sudoCommand(this.machine, ["-A"], helper);
      const running = await spawnHelper(
        { ...command, environment: { ...command.environment, ...environment } },
        (line) => this.#proven(line) || this.listen(line),
      );
      running.output.once("close", clean);
      return {
        ...running,
        started: clean,
        close: () => {
          clean();
          running.close();
        },
      };
    } catch (error) {
      clean();
      throw error;
    }
  }

  refusal(said: string): Refusal {
    return this.#end ?? sudoRefusal(said);
  }

  async #answer(socket: Socket): Promise<void> {
    // sudo asks one thing at a time.
    if (this.#caller && !this.#caller.destroyed) {
      socket.destroy();
      return;
    }
    this.#caller = socket;
    const gone = new AbortController();
    socket.on("error", () => {});
    socket.on("close", () => gone.abort());
    try {
      const prompt = await lineFrom(socket);
      await this.#prove(socket, gone.signal);
      const answer = await this.#question(prompt, gone.signal);
      // Without an answer the program ends in failure, and sudo with it.
      socket.end(answer === undefined ? "" : `${answer}\n`);
    } catch (error) {
      this.#end ??= {
        kind: "end",
        advice: l10n.t("The password couldn't be handed to sudo: {0} Try again.", messageOf(error)),
      };
      socket.destroy();
    }
  }

  async #question(prompt: string, gone: AbortSignal): Promise<string | undefined> {
    const before = this.#asked.get(prompt) ?? 0;
    this.#asked.set(prompt, before + 1);
    if (this.#end || before >= TRIES) {
      return undefined;
    }
    if (before === TRIES - 1) {
      // Should this one be wrong, too, sudo ends; where it is right, nobody asks how it ended.
      this.#last();
    }
    const { user, host } = this.machine;
    const answer = await this.ask({ prompt, again: before > 0, user, host }, gone);
    if (answer === undefined && !gone.aborted) {
      this.#end = { kind: "cancelled", advice: l10n.t("No password was entered.") };
    }
    return answer;
  }

  #last(): void {
    this.#end = {
      kind: "end",
      advice: l10n.t("The password was wrong {0} times. Nothing was done; try again with the right one.", TRIES),
    };
  }

  /** Has the caller say a random word on the stderr that it has from us. @throws where it can't */
  #prove(socket: Socket, gone: AbortSignal): Promise<void> {
    const word = randomBytes(24).toString("hex");
    return new Promise((resolve, reject) => {
      const fail = () => reject(new Error(l10n.t("somebody else asked for it.")));
      const timer = setTimeout(fail, PROOF_TIMEOUT);
      gone.addEventListener("abort", fail);
      this.#proofs.set(word, resolve);
      socket.write(`${word}\n`);
      gone.addEventListener("abort", () => clearTimeout(timer));
    });
  }

  #proven(line: string): boolean {
    const [, word = ""] = /^diskloom-askpass ([0-9a-f]{48})$/.exec(line) ?? [];
    this.#proofs.get(word)?.();
    return this.#proofs.delete(word);
  }
}

async function prepare(folder: PrivateFolder, server: Server, program: string): Promise<Record<string, string>> {
  const socket = join(folder.path, "socket");
  const script = join(folder.path, "askpass");
  writeFileSync(script, SCRIPT);
  chmodSync(script, 0o700);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(socket, resolve);
  });
  return {
    SUDO_ASKPASS: script,
    DISKLOOM_ASKPASS_RUNTIME: process.execPath,
    DISKLOOM_ASKPASS_PROGRAM: program,
    DISKLOOM_ASKPASS_SOCKET: socket,
    ...asNode,
  };
}

function lineFrom(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0);
    const read = (bytes: Buffer) => {
      received = Buffer.concat([received, bytes]);
      const end = received.indexOf("\n");
      if (end >= 0) {
        socket.off("data", read);
        // The other end's going is noticed only by who reads.
        socket.resume();
        resolve(received.toString("utf8", 0, end));
      } else if (received.length > LONGEST_PROMPT) {
        reject(new Error(l10n.t("it was asked for in a way that sudo doesn't.")));
      }
    };
    socket.on("data", read);
    socket.once("close", () => reject(new Error(l10n.t("whoever asked for it is gone."))));
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
