/* What the commands have in common: progress while it takes, and a word on how it ended. */
import * as vscode from "vscode";
import type { Method, Params, Result } from "../../helper/protocol";
import { VIEW_ID } from "../devices/view";
import { Failure } from "../helper/failure";
import type { Progress } from "../helper/session";
import type { CommandContext } from "./context";

/** What takes longer than this gets a notification that shows how far it is and can cancel it, in milliseconds. */
const NOTICEABLE = 1000;

/** What is under way for the user, who sees how far it is and can cancel it. */
export interface Errand {
  /** @throws Failure, reason "cancelled" where the user has cancelled it */
  ask<M extends Method>(method: M, params: Params<M>): Promise<Result<M>>;
  /** Says which part of it begins. */
  say(message: string): void;
  readonly isCancelled: boolean;
}

/** One request, with progress. @throws Failure */
export function perform<M extends Method>(
  context: CommandContext,
  title: string,
  method: M,
  params: Params<M>,
): Promise<Result<M>> {
  return performAll(context, title, ({ ask }) => ask(method, params));
}

/** Several requests under one progress. Cancelling ends the one under way, and what follows is for `run` to leave out. */
export async function performAll<T>(
  { client, view }: CommandContext,
  title: string,
  run: (errand: Errand) => Promise<T>,
): Promise<T> {
  const cancellation = new vscode.CancellationTokenSource();
  const { token } = cancellation;
  const said = new vscode.EventEmitter<Progress>();
  const progress = (progress: Progress) => said.fire(progress);
  try {
    const outcome = run({
      ask: (method, params) => client.request(method, params, { token, progress }),
      say: (message) => progress({ message }),
      get isCancelled() {
        return token.isCancellationRequested;
      },
    });
    void vscode.window.withProgress({ location: { viewId: VIEW_ID } }, () => outcome.then(noop, noop));
    const timer = setTimeout(() => showProgress(title, outcome, said.event, cancellation), NOTICEABLE);
    const result = await outcome.finally(() => clearTimeout(timer));
    view.clearMessage();
    return result;
  } finally {
    said.dispose();
    cancellation.dispose();
  }
}

function showProgress(
  title: string,
  answer: Promise<unknown>,
  said: vscode.Event<Progress>,
  cancellation: vscode.CancellationTokenSource,
): void {
  const options = { location: vscode.ProgressLocation.Notification, title, cancellable: true };
  void vscode.window.withProgress(options, (progress, token) => {
    let shown = 0;
    said(({ message, percentage }) => {
      progress.report({ message, ...(percentage === undefined ? {} : { increment: percentage - shown }) });
      shown = percentage ?? shown;
    });
    token.onCancellationRequested(() => cancellation.cancel());
    return answer.then(noop, noop);
  });
}

function noop(): void {}

/** A way on that a message offers. */
export interface NextStep {
  title: string;
  run(): unknown;
}

/** Tells the user why something failed, in one sentence, with what can be done about it. */
export function showFailure({ log }: CommandContext, error: unknown, nextSteps: NextStep[] = []): void {
  if (error instanceof Failure && error.reason === "cancelled") {
    return;
  }
  const message = error instanceof Error ? error.message : String(error);
  log.error(message);
  // Who knows what is in the way, and has ways on, finds nothing more in the log.
  const isClear = error instanceof Failure && error.reason === "busy" && nextSteps.length > 0;
  const steps = [...nextSteps, ...(isClear ? [] : [{ title: vscode.l10n.t("Show Log"), run: () => log.show() }])];
  offer(vscode.window.showErrorMessage(message, ...steps.map(({ title }) => title)), steps);
}

/** Runs what the user chooses of a message's buttons, whenever that is: nothing else has to wait for it. */
export function offer(shown: Thenable<string | undefined>, steps: NextStep[]): void {
  void shown.then((chosen) => steps.find(({ title }) => title === chosen)?.run());
}
