/* One client's session: it begins with `initialize`, and ends with `exit` or with the connection. */
import { type CancellationToken, ErrorCodes, type MessageConnection, ResponseError } from "vscode-jsonrpc/node";
import { PROBLEM_CODE } from "./codes";
import { greeting } from "./greeting";
import type { ProblemData } from "./protocol";

// LSP's own code, beside those of JSON-RPC.
const SERVER_NOT_INITIALIZED = -32002;

/** Requests under way at once; a client that wants more done is refused until some are. */
const MOST_UNDER_WAY = 64;

/** What requests are answered by, all but those that begin and end a session. */
export type Answer = (method: string, params: unknown, signal: AbortSignal) => Promise<unknown>;

export class Session {
  #state: "new" | "ready" | "shutDown";
  readonly #underWay = new Map<Promise<unknown>, AbortController>();
  #serving: Promise<Answer> | undefined;

  constructor(
    connection: MessageConnection,
    greeted: boolean,
    /** Called once, after `initialize` was answered. It never fails. */
    readonly serve: () => Promise<Answer>,
    exit: (code: number) => void,
  ) {
    this.#state = greeted ? "ready" : "new";
    if (greeted) {
      void this.#begin();
    }
    connection.onRequest((method, params, token) => this.#track(method, params, token));
    connection.onNotification("exit", () => exit(this.#state === "shutDown" ? 0 : 1));
    // "initialized", "$/setTrace" and the like tell us nothing; notifications are never answered.
    connection.onNotification(() => {});
  }

  /** Has everything that is under way finished or undone, and waits for that. */
  async settle(): Promise<void> {
    for (const controller of this.#underWay.values()) {
      controller.abort();
    }
    await Promise.allSettled(this.#underWay.keys());
  }

  #track(method: string, params: unknown, token: CancellationToken): Promise<unknown> {
    if (this.#underWay.size >= MOST_UNDER_WAY) {
      const message = `${MOST_UNDER_WAY} requests are under way already. Wait for some to end and try again.`;
      throw new ResponseError<ProblemData>(PROBLEM_CODE, message, { reason: "busy", users: [] });
    }
    const controller = new AbortController();
    token.onCancellationRequested(() => controller.abort());
    if (token.isCancellationRequested) {
      controller.abort();
    }
    const answer = this.#answer(method, params, controller.signal);
    this.#underWay.set(answer, controller);
    return answer.finally(() => this.#underWay.delete(answer));
  }

  async #answer(method: string, params: unknown, signal: AbortSignal): Promise<unknown> {
    if (method === "initialize") {
      this.#state = "ready";
      // By then the answer is written.
      setImmediate(() => void this.#begin());
      return greeting;
    }
    if (this.#state === "new") {
      throw new ResponseError(SERVER_NOT_INITIALIZED, `"initialize" must come before "${method}".`);
    }
    if (this.#state === "shutDown") {
      throw new ResponseError(ErrorCodes.InvalidRequest, `"${method}" came after "shutdown".`);
    }
    if (method === "shutdown") {
      this.#state = "shutDown";
      return null;
    }
    const answer = await this.#begin();
    return answer(method, params, signal);
  }

  async #begin(): Promise<Answer> {
    this.#serving ??= this.serve();
    return await this.#serving;
  }
}
