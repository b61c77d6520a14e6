/*
 * One deed for several images, one after the other under one progress. What is done stays done: one that fails doesn't
 * keep the others, and cancelling ends it with the image that is under way.
 */
import { basename } from "node:path";
import * as vscode from "vscode";
import { Failure } from "../helper/failure";
import type { CommandContext } from "./context";
import { type Errand, type NextStep, offer, performAll } from "./run";

/** So many are named one by one. */
const MOST_NAMED = 5;

export interface Outcome {
  /** What became of each that succeeded, in a few words: "rootfs.img as loop3". */
  done: string[];
  /** Why which didn't, each in a sentence. */
  failures: string[];
  /** How many there were. */
  all: number;
}

/** How an outcome is summed up, each in a sentence. */
export interface Sums {
  all(count: number, list: string): string;
  some(done: number, count: number, list: string): string;
  none(count: number): string;
}

/**
 * @param title of the progress
 * @param deed what is done with each; it returns what became of it, in a few words
 */
export function forEachImage(
  context: CommandContext,
  title: string,
  images: readonly vscode.Uri[],
  deed: (image: vscode.Uri, errand: Errand) => Promise<string>,
): Promise<Outcome> {
  return performAll(context, title, async (errand) => {
    const outcome: Outcome = { done: [], failures: [], all: images.length };
    for (const [index, image] of images.entries()) {
      const name = basename(image.fsPath);
      errand.say(vscode.l10n.t("{0} ({1} of {2})", name, index + 1, images.length));
      try {
        outcome.done.push(await deed(image, errand));
      } catch (error) {
        const { reason, message } = error instanceof Failure ? error : { reason: "kernel", message: String(error) };
        if (reason === "cancelled") {
          break;
        }
        outcome.failures.push(`${name}: ${message}`);
        // It would be the same for all others, and a password would be asked for each time.
        if (reason === "notPrivileged") {
          break;
        }
      }
      if (errand.isCancelled) {
        break;
      }
    }
    return outcome;
  });
}

/** Tells in one message what became of all. @param steps what is offered where any succeeded */
export function tellOutcome(
  { log }: CommandContext,
  sums: Sums,
  { done, failures, all }: Outcome,
  steps: NextStep[],
): void {
  for (const failure of failures) {
    log.error(failure);
  }
  if (done.length === 0 && failures.length === 0) {
    // Cancelled before anything was done: the user knows.
    return;
  }
  const named = done.slice(0, MOST_NAMED).join(", ");
  const list = done.length > MOST_NAMED ? vscode.l10n.t("{0} and {1} more", named, done.length - MOST_NAMED) : named;
  const offered = [
    ...(done.length > 0 ? steps : []),
    ...(failures.length > 0 ? [{ title: vscode.l10n.t("Show Log"), run: () => log.show() }] : []),
  ];
  const titles = offered.map(({ title }) => title);
  const show = failures.length > 0 ? vscode.window.showWarningMessage : vscode.window.showInformationMessage;
  const text = [sumOf(sums, done.length, all, list), ...failures.slice(0, MOST_NAMED)].join(" ");
  offer(show(text, ...titles), offered);
}

function sumOf(sums: Sums, done: number, all: number, list: string): string {
  if (done === 0) {
    return sums.none(all);
  }
  return done === all ? sums.all(all, list) : sums.some(done, all, list);
}
