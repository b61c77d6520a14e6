/*
 * Lists of very many devices are made on a thread of their own, which waits for each call itself. On libuv's threads,
 * each of some ten calls per device would cost more on its way there and back than it takes.
 */
import { close } from "node:fs";
import { Worker } from "node:worker_threads";
import { LISTING_THREAD } from "./codes";
import { listDevices } from "./inventory";
import { leftOpen, makeRoom } from "./linux/openHere";
import { boundDisks } from "./loop/state";
import type { Device } from "./protocol";
import { WrittenResult } from "./written";

/** The thread pays from this many on, and is given up where there are half as many: it takes 8 MiB. */
const MANY = 128;

/** What the thread's heap may grow to, in MiB: for the program, of which 5 are alive, and for each device, with 1 KiB. */
const BASE_MEMORY = 6;
const DEVICE_MEMORY = 0.003;

export type Bytes = Uint8Array<ArrayBuffer>;

/** Asks the thread for a list. What was sent is handed back to be written to again, rather than left to be collected. */
export interface Question {
  id: number;
  used: Bytes | undefined;
}

export interface Answer {
  id: number;
  /** The list as JSON, with room around it; missing where the thread failed. */
  written?: { bytes: Bytes; length: number };
  count: number;
}

/** `devices/list`, on whichever thread is the better one. */
export class Listing {
  #thread: Worker | undefined;
  #used: Bytes | undefined;
  #generosity = 1;
  #ids = 0;
  readonly #waiting = new Map<number, (answer: Answer | undefined) => void>();

  /** @param program what to run on the thread: it answers questions there */
  constructor(readonly program: string) {}

  async list(): Promise<{ devices: Device[] } | WrittenResult> {
    if (!this.#thread) {
      const bound = boundDisks().length;
      this.#thread = bound < MANY ? undefined : this.#begin(bound);
    }
    const answer = this.#thread && (await this.#ask(this.#thread));
    if (answer && answer.count < MANY / 2) {
      void this.#thread?.terminate();
      this.#thread = undefined;
    }
    if (!answer?.written) {
      // What failed on the thread is tried here: the error is then this one's own.
      return { devices: await listDevices() };
    }
    const { bytes, length } = answer.written;
    return new WrittenResult(bytes, length, () => {
      this.#used = bytes;
    });
  }

  #ask(thread: Worker): Promise<Answer | undefined> {
    return new Promise((resolve) => {
      const question: Question = { id: ++this.#ids, used: this.#used };
      this.#used = undefined;
      this.#waiting.set(question.id, resolve);
      thread.postMessage(question, question.used ? [question.used.buffer] : []);
    });
  }

  #begin(bound: number): Worker {
    const open = makeRoom();
    const thread = new Worker(this.program, {
      argv: [LISTING_THREAD],
      workerData: open,
      // Left to itself, V8 lets more than that lie about before it collects.
      resourceLimits: {
        maxYoungGenerationSizeMb: 2,
        maxOldGenerationSizeMb: (BASE_MEMORY + bound * DEVICE_MEMORY) * this.#generosity,
      },
      // Files are closed by the scope that opened them, and not by Node's calls alone.
      trackUnmanagedFds: false,
    });
    thread.unref();
    thread.on("message", (answer: Answer) => {
      this.#waiting.get(answer.id)?.(answer);
      this.#waiting.delete(answer.id);
    });
    // Devices with very many partitions need more: the thread is gone then, and another begins with the next list.
    thread.on("error", (error) => {
      process.stderr.write(`The thread for lists: ${error}\n`);
      this.#generosity *= 2;
    });
    thread.on("exit", () => {
      this.#thread = this.#thread === thread ? undefined : this.#thread;
      for (const fd of leftOpen(open)) {
        close(fd, () => {});
      }
      for (const resolve of this.#waiting.values()) {
        resolve(undefined);
      }
      this.#waiting.clear();
    });
    return thread;
  }
}
