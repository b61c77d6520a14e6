/* Why a request failed, as the commands see it. */
import * as v from "valibot";
import { l10n } from "vscode";
import { ErrorCodes, ResponseError } from "vscode-jsonrpc/node";
import { PROBLEM_CODE, ProblemData, type Reason } from "../../helper/protocol";

// LSP's, from its specification: the client doesn't wait for an answer any more.
const REQUEST_CANCELLED = -32800;

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
  if (error instanceof ResponseError) {
    if (error.code === REQUEST_CANCELLED) {
      return new Failure("cancelled", error.message);
    }
    const data = v.safeParse(ProblemData, error.data);
    if (data.success && (error.code === PROBLEM_CODE || data.output.reason === "invalid")) {
      return new Failure(data.output.reason, error.message, data.output);
    }
  }
  if (gone || isLost(error)) {
    return new Failure("kernel", l10n.t("The helper ended before it answered. The tree shows what has become of it."));
  }
  return new Failure("kernel", error instanceof Error ? error.message : String(error));
}

/** The helper ends before its session is known to have ended: then the request can't be sent, or has no answer to come. */
function isLost(error: unknown): boolean {
  const lost: number[] = [
    ErrorCodes.MessageWriteError,
    ErrorCodes.MessageReadError,
    ErrorCodes.PendingResponseRejected,
    ErrorCodes.ConnectionInactive,
  ];
  return error instanceof ResponseError
    ? lost.includes(error.code)
    : error instanceof Error && "code" in error && ["ERR_STREAM_DESTROYED", "EPIPE"].includes(String(error.code));
}
