/*
 * One deed for several images or devices, one after the other under one progress. What is done stays done: one that fails
 * doesn't keep the others, and cancelling ends it with the one that is under way.
 */
import { basename } from "node:path";
import * as vscode from "vscode";
import type { LoopDevice } from "../../helper/protocol";
import { labelOf } from "../devices/items";
import { Failure } from "../helper/failure";
import type { CommandContext } from "./context";
import { type Errand, type NextStep, offer, performAll } from "./run";

/** So many are named one by one. */
const MOST_NAMED = 5;

export interface Failed<T> {
  one: T;
  error: unknown;
  /** Why, in a sentence. */
  text: string;
}

export interface Outcome<T> {
  /** What became of each that succeeded, in a few words: "rootfs.img as loop3". */
  done: string[];
  failures: Failed<T>[];
  /** How many there were. */
  all: number;
  /** The user has cancelled it before it came to all of them. */
  isCancelled: boolean;
}

/** How an outcome is summed up, each in a sentence. */
export interface Sums {
  all(count: number, list: string): string;
  some(done: number, count: number, list: string): string;
  none(count: number): string;
}

/** What things are called: while their turn is on, and where one has failed. */
export interface Names<T> {
  nameOf(one: T): string;
  sayFailed(one: T, message: string): string;
}

/** What the helper says of an image may not name it. */
const ofImages: Names<vscode.Uri> = {
  nameOf: ({ fsPath }) => basename(fsPath),
  sayFailed: ({ fsPath }, message) => `${basename(fsPath)}: ${message}`,
};

/** What it says of a device does. */
export const ofLoops: Names<LoopDevice> = { nameOf: labelOf, sayFailed: (_, message) => message };

export const forEachImage = (
  context: CommandContext,
  title: string,
  images: readonly vscode.Uri[],
  deed: (image: vscode.Uri, errand: Errand) => Promise<string>,
) => forEachOf(context, title, images, ofImages, deed);

/**
 * @param title of the progress
 * @param deed what is done with each; it returns what became of it, in a few words
 */
export function forEachOf<T>(
  context: CommandContext,
  title: string,
  things: readonly T[],
  { nameOf, sayFailed }: Names<T>,
  deed: (one: T, errand: Errand) => Promise<string>,
): Promise<Outcome<T>> {
  return performAll(context, title, async (errand) => {
    const outcome: Outcome<T> = { done: [], failures: [], all: things.length, isCancelled: false };
    for (const [index, one] of things.entries()) {
      errand.say(vscode.l10n.t("{0} ({1} of {2})", nameOf(one), index + 1, things.length));
      try {
        outcome.done.push(await deed(one, errand));
      } catch (error) {
        const { reason, message } = error instanceof Failure ? error : { reason: "kernel", message: String(error) };
        if (reason === "cancelled") {
          outcome.isCancelled = true;
          break;
        }
        outcome.failures.push({ one, error, text: sayFailed(one, message) });
        // It would be the same for all others, and a password would be asked for each time.
        if (reason === "notPrivileged") {
          break;
        }
      }
      if (errand.isCancelled) {
        outcome.isCancelled = index < things.length - 1;
        break;
      }
    }
    return outcome;
  });
}

/** What a message offers beside its text. */
interface Steps {
  /** Where any succeeded. */
  done?: NextStep[];
  /** Where any failed. */
  failed?: NextStep[];
}

/** Tells in one message what became of all. */
export function tellOutcome<T>(
  { log }: CommandContext,
  sums: Sums,
  { done, failures, all }: Outcome<T>,
  steps: Steps,
): void {
  for (const { text } of failures) {
    log.error(text);
  }
  if (done.length === 0 && failures.length === 0) {
    // Cancelled before anything was done: the user knows.
    return;
  }
  const named = done.slice(0, MOST_NAMED).join(", ");
  const list = done.length > MOST_NAMED ? vscode.l10n.t("{0} and {1} more", named, done.length - MOST_NAMED) : named;
  const offered = [
    ...(done.length > 0 ? (steps.done ?? []) : []),
    ...(failures.length > 0
      ? [...(steps.failed ?? []), { title: vscode.l10n.t("Show Log"), run: () => log.show() }]
      : []),
  ];
  const titles = offered.map(({ title }) => title);
  const show = failures.length > 0 ? vscode.window.showWarningMessage : vscode.window.showInformationMessage;
  const said = [sumOf(sums, done.length, all, list), ...failures.slice(0, MOST_NAMED).map(({ text }) => text)];
  offer(show(said.filter(Boolean).join(" "), ...titles), offered);
}

function sumOf(sums: Sums, done: number, all: number, list: string): string {
  if (done === 0) {
    // Why just one has failed says so, too.
    return all === 1 ? "" : sums.none(all);
  }
  return done === all ? sums.all(all, list) : sums.some(done, all, list);
}
