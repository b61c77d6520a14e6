/* One helper process, driven by vscode-languageclient from `initialize` to `exit`. */
import { type ChildProcess, spawn } from "node:child_process";
import * as v from "valibot";
import type * as vscode from "vscode";
import {
  CloseAction,
  ErrorAction,
  LanguageClient,
  RevealOutputChannelOn,
  State,
  WorkDoneProgress,
} from "vscode-languageclient/node";
import {
  DEVICES_CHANGED,
  type HelperInfo,
  LOG_MESSAGE,
  LogMessage,
  type Method,
  type Params,
  type Result,
  requests,
} from "../../helper/protocol";
import type { Command } from "./runtime";

/** How long a helper may take to say goodbye, in milliseconds. */
const STOP_TIMEOUT = 5000;
/** What is kept of stderr, for the reason why it didn't start. */
const KEPT_OUTPUT = 2000;

/** How far a request is, as LSP's work done progress tells it. */
export interface Progress {
  message: string;
  percentage?: number | undefined;
}

export interface RequestOptions {
  token?: vscode.CancellationToken | undefined;
  progress?: ((progress: Progress) => void) | undefined;
}

/** The helper couldn't be started; `said` is what it or sudo wrote. */
export class StartError extends Error {
  constructor(readonly said: string) {
    super(said);
  }
}

let tokens = 0;

export class Session {
  /** Set once it has started. */
  info: HelperInfo | undefined;
  #ended = false;
  readonly #client: LanguageClient;
  #process: ChildProcess | undefined;
  #said = "";

  private constructor(command: Command, log: vscode.LogOutputChannel, listener: SessionListener) {
    this.#client = new LanguageClient("diskloom", "Diskloom", async () => this.#spawn(command), {
      outputChannel: log,
      revealOutputChannelOn: RevealOutputChannelOn.Never,
      initializationFailedHandler: () => false,
      // Starting again is not for one process to decide.
      errorHandler: {
        error: () => ({ action: ErrorAction.Continue, handled: true }),
        closed: () => ({ action: CloseAction.DoNotRestart, handled: true }),
      },
    });
    this.#client.onNotification(DEVICES_CHANGED, () => listener.devicesChanged());
    this.#client.onNotification(LOG_MESSAGE, (said) => {
      const parsed = v.safeParse(LogMessage, said);
      if (parsed.success) {
        const { level, message } = parsed.output;
        log[level === "warning" ? "warn" : level](message);
      }
    });
    this.#client.onDidChangeState(({ newState }) => {
      if (newState === State.Stopped && this.info && !this.#ended) {
        this.#ended = true;
        listener.died(this);
      }
    });
  }

  /** @throws StartError */
  static async start(command: Command, log: vscode.LogOutputChannel, listener: SessionListener): Promise<Session> {
    const session = new Session(command, log, listener);
    try {
      await session.#client.start();
      session.info = await session.request("helper/info", {});
      return session;
    } catch (error) {
      await session.stop();
      throw new StartError(session.#said.trim() || (error instanceof Error ? error.message : String(error)));
    }
  }

  get isPrivileged(): boolean {
    return this.info?.privileged === true;
  }

  get hasEnded(): boolean {
    return this.#ended;
  }

  async request<M extends Method>(
    method: M,
    params: Params<M>,
    { token, progress }: RequestOptions = {},
  ): Promise<Result<M>> {
    const workDoneToken = progress && `diskloom-${++tokens}`;
    const reporting =
      workDoneToken &&
      this.#client.onProgress(WorkDoneProgress.type, workDoneToken, (value) => {
        if (value.kind !== "end") {
          progress?.({
            message: value.kind === "begin" ? value.title : (value.message ?? ""),
            percentage: value.percentage,
          });
        }
      });
    try {
      const sent = workDoneToken ? { ...params, workDoneToken } : params;
      // An argument that is undefined would be sent as one more param.
      const result: unknown = await (token
        ? this.#client.sendRequest(method, sent, token)
        : this.#client.sendRequest(method, sent));
      return v.parse(requests[method].result, result) as Result<M>;
    } finally {
      if (reporting) {
        reporting.dispose();
      }
    }
  }

  /** Says goodbye. Its stdin is closed in any case, which ends a helper that doesn't hear. */
  async stop(): Promise<void> {
    this.#ended = true;
    await this.#client.dispose(STOP_TIMEOUT).catch(() => {});
    this.#process?.stdin?.end();
  }

  #spawn({ program, args, environment }: Command): Promise<ChildProcess> {
    return new Promise((resolve, reject) => {
      const child = spawn(program, args, { env: environment, cwd: "/", stdio: ["pipe", "pipe", "pipe"] });
      this.#process = child;
      child.stderr.on("data", (bytes: Buffer) => {
        this.#said = (this.#said + bytes).slice(-KEPT_OUTPUT);
      });
      child.once("spawn", () => resolve(child));
      child.once("error", (error) => {
        this.#said = error.message;
        reject(error);
      });
    });
  }
}

/** Who wants to know what becomes of a session. */
export interface SessionListener {
  devicesChanged(): void;
  /** It ended and nobody had asked it to. */
  died(session: Session): void;
}
