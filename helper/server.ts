/* From a method to the engine: check, act for the caller, answer. */
import { setFlagsFromString } from "node:v8";
import * as v from "valibot";
import { ErrorCodes, type MessageConnection, ResponseError } from "vscode-jsonrpc/node";
import { logDeed } from "./audit";
import { type Caller, identifyCaller, openImage } from "./caller";
import { Changes } from "./changes";
import { inspectImage } from "./content/inspect";
import { info } from "./info";
import { completeMapper, describeLoop } from "./inventory";
import { Listing } from "./listing";
import { attach } from "./loop/attach";
import { detach } from "./loop/detach";
import { diskOf, numberOf } from "./loop/device";
import { flush } from "./loop/flush";
import { findFree } from "./loop/free";
import { releaseUsed } from "./loop/held";
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
  DEVICES_CHANGED,
  LOG_MESSAGE,
  type LogMessage,
  type Method,
  PROBLEM_CODE,
  type ProblemData,
  type Result,
  requests,
} from "./protocol";
import type { Answer } from "./session";
import { Tidying } from "./tidy";
import type { Work } from "./work";
import type { WrittenResult } from "./written";

// LSP's own code, beside those of JSON-RPC.
const REQUEST_CANCELLED = -32800;

type Handlers = { [M in Method]: (params: CheckedParams<M>, work: Work) => Promise<Result<M> | WrittenResult> };

/**
 * Begins to watch the kernel for the client. Before anything is answered: what a client is told can't be out of date
 * without it being told that, too.
 */
export function serve(connection: MessageConnection): Answer {
  // What a long list leaves behind is collected as it comes, rather than kept until there are 48 MiB of it.
  setFlagsFromString("--semi-space-growth-factor=1");
  const server = new Server(connection, identifyCaller(process.env), new Listing(__filename), () => changes?.noticed());
  const changes = watchKernel(server, async () => {
    await releaseUsed();
    await connection.sendNotification(DEVICES_CHANGED, {});
  });
  // Node can't exit while a thread waits for the kernel.
  process.on("exit", () => changes?.[Symbol.dispose]());
  const tidying = new Tidying();
  return (method, params, signal) => tidying.after(() => server.answer(method, params, signal));
}

/** Where the kernel gives no events (a container without a network of its own), the tree is refreshed by hand. */
function watchKernel(server: Server, tell: () => Promise<void>): Changes | undefined {
  const failed = (error: unknown) => server.log("warning", `No word of changes from the kernel: ${error}`);
  try {
    return new Changes(() => void tell().catch(failed), failed);
  } catch (error) {
    failed(error);
    return undefined;
  }
}

class Server {
  readonly #handlers: Handlers;

  constructor(
    readonly connection: MessageConnection,
    readonly caller: Caller,
    listing: Listing,
    /** To be called after a change that the kernel makes no event of. */
    readonly changed: () => void,
  ) {
    this.#handlers = handlersFor(caller, listing, (level, message) => this.log(level, message));
  }

  log(level: LogMessage["level"], message: string): void {
    void this.connection.sendNotification(LOG_MESSAGE, { level, message }).catch(() => {});
  }

  async answer(method: string, params: unknown, signal: AbortSignal): Promise<unknown> {
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
        const outcome = error instanceof Cancelled ? "cancelled" : `refused: ${reason} ${errno}`.trim();
        logDeed(this.caller, method, checked, outcome);
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
    "image/inspect": async (wish, { signal }) => {
      const image = openImage(caller, wish.path, true);
      using _file = image.file;
      return await inspectImage(image, wish, signal);
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
