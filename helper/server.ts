/* From a method to the engine: check, act for the caller, answer. */
import * as v from "valibot";
import { type CancellationToken, ErrorCodes, type MessageConnection, ResponseError } from "vscode-jsonrpc/node";
import { logDeed } from "./audit";
import { type Caller, openImage } from "./caller";
import { inspectImage } from "./content/inspect";
import { info } from "./info";
import { completeMapper, describeLoop } from "./inventory";
import type { Listing } from "./listing";
import { attach } from "./loop/attach";
import { detach } from "./loop/detach";
import { diskOf, numberOf } from "./loop/device";
import { flush } from "./loop/flush";
import { findFree } from "./loop/free";
import { removeLoop } from "./loop/remove";
import { resize } from "./loop/resize";
import { update } from "./loop/update";
import { mapperHandlers } from "./mapper/requests";
import { sweepAfter } from "./mount/book";
import { mountDevice } from "./mount/mount";
import { unmountFor } from "./mount/release";
import { rescanOf, resizeOf } from "./partition/requests";
import { Cancelled } from "./pause";
import { problemOf } from "./problem";
import {
  type CheckedParams,
  LOG_MESSAGE,
  type LogMessage,
  type Method,
  PROBLEM_CODE,
  type ProblemData,
  type Result,
  requests,
} from "./protocol";
import type { Work } from "./work";
import type { WrittenResult } from "./written";

// LSP's own codes, beside those of JSON-RPC.
const SERVER_NOT_INITIALIZED = -32002;
const REQUEST_CANCELLED = -32800;

/** Requests under way at once; a client that wants more done is refused until some are. */
const MOST_UNDER_WAY = 64;

type Handlers = { [M in Method]: (params: CheckedParams<M>, work: Work) => Promise<Result<M> | WrittenResult> };

/** One client's session: it begins with `initialize`, and ends with `exit` or with the connection. */
export class Server {
  #state: "new" | "ready" | "shutDown" = "new";
  readonly #underWay = new Map<Promise<unknown>, AbortController>();
  readonly #handlers: Handlers;

  constructor(
    readonly connection: MessageConnection,
    readonly caller: Caller,
    listing: Listing,
    /** To be called after a change that the kernel makes no event of. */
    readonly changed: () => void,
    readonly exit: (code: number) => void,
  ) {
    this.#handlers = handlersFor(caller, listing, (level, message) => this.log(level, message));
    connection.onRequest((method, params, token) => this.#track(method, params, token));
    connection.onNotification("exit", () => exit(this.#state === "shutDown" ? 0 : 1));
    // "initialized", "$/setTrace" and the like tell us nothing; notifications are never answered.
    connection.onNotification(() => {});
  }

  log(level: LogMessage["level"], message: string): void {
    void this.connection.sendNotification(LOG_MESSAGE, { level, message }).catch(() => {});
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
      return { capabilities: {}, serverInfo: { name: "diskloom-helper", version: DISKLOOM_VERSION } };
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
    if (!Object.hasOwn(requests, method)) {
      throw new ResponseError(ErrorCodes.MethodNotFound, `There is no method "${method.slice(0, 100)}".`);
    }
    return this.#run(method as Method, params, signal);
  }

  async #run<M extends Method>(method: M, params: unknown, signal: AbortSignal): Promise<Result<M> | WrittenResult> {
    const checked = check(method, params);
    const progress = new Progress(this.connection, "workDoneToken" in checked ? checked.workDoneToken : undefined);
    try {
      if (signal.aborted) {
        throw new Cancelled();
      }
      const answer = await this.#handlers[method](checked, { signal, report: (...said) => progress.report(...said) });
      // A refusal changes nothing, and what was undone on its way the kernel tells of by itself.
      if (!unchanging.has(method)) {
        this.changed();
        logDeed(this.caller, method, checked, "done");
      }
      return answer;
    } catch (error) {
      const refusal = this.#refusal(method, error);
      if (!unchanging.has(method)) {
        // Not the message, which can quote what is in the request.
        const { reason = "a fault", errno = "" } = refusal.data ?? {};
        logDeed(this.caller, method, checked, `refused: ${reason} ${errno}`.trim());
      }
      throw refusal;
    } finally {
      progress.end();
    }
  }

  #refusal(method: string, error: unknown): ResponseError<ProblemData | undefined> {
    if (error instanceof Cancelled) {
      return new ResponseError(REQUEST_CANCELLED, `"${method}" was cancelled.`);
    }
    const problem = problemOf(error);
    if (problem) {
      return new ResponseError(PROBLEM_CODE, problem.message, problem.data);
    }
    const trace = error instanceof Error ? error.stack : String(error);
    process.stderr.write(`${method}: ${trace}\n`);
    return new ResponseError(ErrorCodes.InternalError, `A fault in the helper: ${error}`);
  }
}

/** Requests after which nothing is other than before, or of which the kernel tells everybody. */
const unchanging: ReadonlySet<Method> = new Set([
  "helper/info",
  "devices/list",
  "image/inspect",
  "loop/findFree",
  "loop/flush",
  "mapper/status",
  "mapper/wait",
  "mapper/targets",
]);

function handlersFor(
  caller: Caller,
  listing: Listing,
  log: (level: LogMessage["level"], message: string) => void,
): Handlers {
  const describe = ({ device }: { device: string }) => describeLoop(diskOf(numberOf(device)));
  const mapper = mapperHandlers(caller, completeMapper, log);
  return {
    ...mapper,
    "mapper/remove": (wish, work) =>
      sweepAfter(caller, work, wish.whenBusy === "unmount", () => mapper["mapper/remove"](wish, work)),
    "helper/info": async () => info(caller),
    "devices/list": () => listing.list(),
    "image/inspect": async (wish) => {
      const image = openImage(caller, wish.path, true);
      using _file = image.file;
      return await inspectImage(image, wish);
    },
    "loop/attach": (wish, work) => attach(wish, caller, work, describeLoop),
    "loop/detach": (wish, work) =>
      sweepAfter(caller, work, wish.whenBusy === "unmount", () => detach(wish, caller, work)),
    "loop/flush": async (wish, work) => {
      await flush(wish, work);
      return {};
    },
    "loop/update": async (wish, { signal }) => ({ device: await update(wish, caller, signal, () => describe(wish)) }),
    "loop/resize": async (wish) => ({ device: await resize(wish, caller, () => describe(wish)) }),
    "loop/findFree": async (_, { signal }) => ({ device: await findFree(signal) }),
    "loop/remove": async ({ device }, { signal }) => {
      await removeLoop(device, signal);
      return {};
    },
    "mount/mount": (wish, work) => mountDevice(wish, caller, work),
    "mount/unmount": async (wish, work) => {
      await unmountFor(wish, caller, work);
      return {};
    },
    "partition/rescan": async (wish) => ({ partitions: await rescanOf(wish, caller, describeLoop) }),
    "partition/resize": async (wish) => ({ partition: await resizeOf(wish, caller, describeLoop) }),
  };
}

function check<M extends Method>(method: M, params: unknown): CheckedParams<M> {
  const checked = v.safeParse(requests[method].params, params ?? {});
  if (checked.success) {
    return checked.output as CheckedParams<M>;
  }
  const [issue] = checked.issues;
  const path = v.getDotPath(issue) ?? "";
  const data: ProblemData = { reason: "invalid", path, message: issue.message };
  throw new ResponseError(ErrorCodes.InvalidParams, `${method}: ${path && `${path}: `}${issue.message}`, data);
}

/** LSP's work done progress, for requests that gave a token to report it by. */
class Progress {
  #begun = false;

  constructor(
    readonly connection: MessageConnection,
    readonly token: string | number | undefined,
  ) {}

  report(message: string, percentage?: number): void {
    if (this.#begun) {
      this.#send({ kind: "report", message, percentage });
    } else {
      this.#begun = true;
      this.#send({ kind: "begin", title: message, percentage, cancellable: true });
    }
  }

  end(): void {
    if (this.#begun) {
      this.#send({ kind: "end" });
    }
  }

  #send(value: object): void {
    if (this.token !== undefined) {
      void this.connection.sendNotification("$/progress", { token: this.token, value }).catch(() => {});
    }
  }
}
