/* Why a request failed, as the commands see it. */
import * as v from "valibot";
import { l10n } from "vscode";
import { PROBLEM_CODE, ProblemData, type Reason } from "../../helper/protocol";

// LSP's, from its specification: the client doesn't wait for an answer any more.
const REQUEST_CANCELLED = -32800;
// vscode-jsonrpc's: what was to be sent can't be, or what was to be answered won't be.
const LOST: readonly number[] = [-32099, -32098, -32097, -32096];

/** vscode-jsonrpc's, told by its shape: the library is loaded with the first helper, and not for this. */
const ResponseError = v.object({ code: v.number(), message: v.string(), data: v.optional(v.unknown()) });

/** The message is a sentence for people. */
export class Failure extends Error {
  constructor(
    readonly reason: Reason | "cancelled",
    message: string,
    readonly data: Partial<ProblemData> = {},
  ) {
    super(message);
  }
}

/** @param gone whether the helper ended before it answered */
export function failureOf(error: unknown, gone: boolean): Failure {
  if (error instanceof Failure) {
    return error;
  }
  const answer = v.safeParse(ResponseError, error);
  if (answer.success) {
    const { code, message, data } = answer.output;
    if (code === REQUEST_CANCELLED) {
      return new Failure("cancelled", message);
    }
    const problem = v.safeParse(ProblemData, data);
    if (problem.success && (code === PROBLEM_CODE || problem.output.reason === "invalid")) {
      return new Failure(problem.output.reason, message, problem.output);
    }
  }
  if (gone || isLost(error)) {
    return new Failure("kernel", l10n.t("The helper ended before it answered. The tree shows what has become of it."));
  }
  return new Failure("kernel", error instanceof Error ? error.message : String(error));
}

/** The helper ends before its session is known to have ended: then the request can't be sent, or has no answer to come. */
function isLost(error: unknown): boolean {
  return (
    error instanceof Error &&
    "code" in error &&
    (LOST.includes(Number(error.code)) || ["ERR_STREAM_DESTROYED", "EPIPE"].includes(String(error.code)))
  );
}
