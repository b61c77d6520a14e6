/* One helper, driven by vscode-languageclient from `initialize` to `exit`. */
import { setTimeout as sleep } from "node:timers/promises";
import * as v from "valibot";
import type * as vscode from "vscode";
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
import {
  CloseAction,
  ErrorAction,
  LanguageClient,
  RevealOutputChannelOn,
  State,
  StreamMessageReader,
  StreamMessageWriter,
  WorkDoneProgress,
} from "./languageClient";
import { type RunningHelper, StartError } from "./way";
import { inWholeMessages } from "./wholeMessages";

/** How long a helper may take to say goodbye, in milliseconds. */
const STOP_TIMEOUT = 5000;

/** How far a request is, as LSP's work done progress tells it. */
export interface Progress {
  message: string;
  percentage?: number | undefined;
}

export interface RequestOptions {
  token?: vscode.CancellationToken | undefined;
  progress?: ((progress: Progress) => void) | undefined;
  /** Have it answered by root although anybody's helper could: root sees more. */
  asRoot?: boolean;
}

/** What fails is told by the command that it fails for, in a message of its own. */
class QuietClient extends LanguageClient {
  /** Before, whoever starts it tells why that failed, which can be as common as that sudo wants a password. */
  started = false;

  override error(message: string, data?: unknown): void {
    if (this.started) {
      super.error(message, data, false);
    } else {
      super.debug(message, data, false);
    }
  }
}

let tokens = 0;

export class Session {
  /** Set once it has started. */
  info: HelperInfo | undefined;
  #ended = false;
  readonly #client: QuietClient;
  readonly #helper: RunningHelper;

  private constructor(helper: RunningHelper, log: vscode.LogOutputChannel, listener: SessionListener) {
    this.#helper = helper;
    const transports = {
      reader: new StreamMessageReader(helper.output),
      writer: inWholeMessages(new StreamMessageWriter(helper.input), helper.input),
    };
    this.#client = new QuietClient("diskloom", "Diskloom", async () => transports, {
      outputChannel: log,
      revealOutputChannelOn: RevealOutputChannelOn.Never,
      initializationFailedHandler: () => false,
      // Starting again is not for one process to decide.
      errorHandler: {
        error: () => ({ action: ErrorAction.Continue, handled: true }),
        closed: () => ({
          action: CloseAction.DoNotRestart,
          handled: true,
          message: "The connection to the helper was closed.",
        }),
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

  /**
   * @param start starts the helper, or whatever will become one
   * @throws StartError
   */
  static async start(
    start: () => Promise<RunningHelper>,
    log: vscode.LogOutputChannel,
    listener: SessionListener,
  ): Promise<Session> {
    const helper = await start().catch((error) => {
      throw new StartError(messageOf(error));
    });
    const session = new Session(helper, log, listener);
    try {
      await Promise.race([session.#client.start(), endOf(helper)]);
      session.info = await session.request("helper/info", {});
      session.#client.started = true;
      helper.started?.();
      return session;
    } catch (error) {
      await session.stop();
      // Writing to it can fail before what it said has been read.
      await Promise.race([helper.ended, sleep(STOP_TIMEOUT)]);
      throw new StartError(helper.said().trim() || messageOf(error));
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
    this.#helper.close();
  }
}

/** A client whose helper ends while it is being started waits for good. */
function endOf({ output }: RunningHelper): Promise<never> {
  return new Promise((_, reject) => {
    output.once("close", () => reject(new Error("The helper ended before it was ready.")));
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Who wants to know what becomes of a session. */
export interface SessionListener {
  devicesChanged(): void;
  /** It ended and nobody had asked it to. */
  died(session: Session): void;
}
