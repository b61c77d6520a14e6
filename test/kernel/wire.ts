/* A helper whose bytes are written and read by hand, or not read at all. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { helperProgram } from "../helper";

export interface Answer {
  id?: unknown;
  method?: string;
  error?: { code: number; message: string; data?: { reason?: string } };
  result?: unknown;
}

export class Wire implements AsyncDisposable {
  readonly process: ChildProcess;
  readonly ended: Promise<unknown[]>;
  /** What came, in the order in which it did. */
  readonly answers: Answer[] = [];
  /** The end of what it has written to stderr. */
  errors = "";
  #received = Buffer.alloc(0);
  #waiting = new Map<unknown, (answer: Answer) => void>();

  /** @param reading whether its answers are read from the beginning */
  constructor(reading = true) {
    this.process = spawn(process.execPath, [helperProgram, "--stdio"], { stdio: ["pipe", "pipe", "pipe"] });
    this.process.stdin?.on("error", () => {});
    this.process.stderr?.on("data", (bytes: Buffer) => {
      this.errors = (this.errors + bytes).slice(-2000);
    });
    this.ended = once(this.process, "exit");
    if (reading) {
      this.read();
    }
  }

  static async initialized(): Promise<Wire> {
    const wire = new Wire();
    await wire.ask("initialize", {}, "first");
    return wire;
  }

  read(): void {
    this.process.stdout?.on("data", (bytes: Buffer) => this.#take(bytes));
  }

  /** @returns whether more can be written without it being kept here */
  write(text: string | Buffer): boolean {
    return this.process.stdin?.write(text) === true;
  }

  say(message: unknown): boolean {
    return this.write(framed(JSON.stringify(message)));
  }

  ask(method: string, params: unknown, id: number | string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, resolve);
      void this.ended.then(([code, signal]) => reject(new Error(`The helper ended with ${code ?? signal}.`)));
      this.say({ jsonrpc: "2.0", id, method, params });
    });
  }

  /** What it has in memory now, in bytes. */
  get resident(): number {
    const status = readFileSync(`/proc/${this.process.pid}/status`, "utf8");
    return Number(/^VmRSS:\s*(\d+) kB$/m.exec(status)?.[1]) * 1024;
  }

  get hasEnded(): boolean {
    return this.process.exitCode !== null || this.process.signalCode !== null;
  }

  #take(bytes: Buffer): void {
    this.#received = Buffer.concat([this.#received, bytes]);
    for (;;) {
      const end = this.#received.indexOf("\r\n\r\n");
      const length = Number(/Content-Length: (\d+)/.exec(this.#received.toString("latin1", 0, end))?.[1]);
      if (end < 0 || this.#received.length < end + 4 + length) {
        return;
      }
      const answer: Answer = JSON.parse(this.#received.toString("utf8", end + 4, end + 4 + length));
      this.#received = this.#received.subarray(end + 4 + length);
      this.answers.push(answer);
      this.#waiting.get(answer.id)?.(answer);
      this.#waiting.delete(answer.id);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.kill("SIGKILL");
    await this.ended;
  }
}

export function framed(text: string | Buffer): Buffer {
  return Buffer.concat([Buffer.from(`Content-Length: ${Buffer.byteLength(text)}\r\n\r\n`), Buffer.from(text)]);
}
