/* A helper of one's own to talk to, as the extension does. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import {
  type CancellationToken,
  createMessageConnection,
  type MessageConnection,
  StreamMessageReader,
  StreamMessageWriter,
} from "vscode-jsonrpc/node";
import { inWholeMessages } from "../extension/helper/wholeMessages";
import type { Method, Params, Result } from "../helper/protocol";

/** The project's folder: tests run as bundles under dist/. */
export const root = process.env.DISKLOOM_ROOT ?? process.cwd();
/** The helper under test: another than the last build's where that is being made anew while tests run. */
export const helperProgram = process.env.DISKLOOM_HELPER ?? join(root, "dist/helper.js");

/** How to start it; by default as the user who runs the tests. */
export interface StartOptions {
  command?: string[];
  environment?: NodeJS.ProcessEnv;
}

export class TestHelper implements AsyncDisposable {
  /** How often the helper has said that something changed. */
  changes = 0;
  /** What it has written to stderr. */
  errors = "";

  private constructor(
    readonly process: ChildProcess,
    readonly connection: MessageConnection,
  ) {}

  static async start({ command = [], environment = process.env }: StartOptions = {}): Promise<TestHelper> {
    const [program = "", ...args] = [...command, process.execPath, helperProgram, "--stdio"];
    const child = spawn(program, args, { env: environment, stdio: ["pipe", "pipe", "pipe"] });
    const reader = new StreamMessageReader(child.stdout);
    // A helper that is killed amid a message would leave the library's timer for its rest running for good.
    reader.partialMessageTimeout = 0;
    const writer = inWholeMessages(new StreamMessageWriter(child.stdin), child.stdin);
    const connection = createMessageConnection(reader, writer);
    const helper = new TestHelper(child, connection);
    child.stderr.on("data", (bytes: Buffer) => {
      helper.errors += bytes;
    });
    child.stdin.on("error", () => {});
    connection.onNotification("devices/changed", () => {
      helper.changes++;
    });
    connection.onNotification(() => {});
    connection.onError(() => {});
    connection.listen();
    await connection.sendRequest("initialize", { processId: process.pid, rootUri: null, capabilities: {} });
    return helper;
  }

  request<M extends Method>(method: M, params: Params<M>, token?: CancellationToken): Promise<Result<M>> {
    // The library takes an undefined token for one more param.
    return token ? this.connection.sendRequest(method, params, token) : this.connection.sendRequest(method, params);
  }

  /** Ends it as no program can prepare for. */
  async kill(): Promise<void> {
    const gone = once(this.process, "exit");
    this.process.kill("SIGKILL");
    await gone;
  }

  /** Ends it as a client does that is gone: nobody says goodbye. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      const gone = once(this.process, "exit");
      this.process.stdin?.end();
      await gone;
    }
    this.connection.dispose();
  }
}
