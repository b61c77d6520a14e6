/* Devices that somebody else set up are touched only after the user has confirmed to mean it. */
import * as vscode from "vscode";
import { Failure } from "../helper/failure";
import type { Outcome } from "./several";

/** What is done: the button that confirms it, and the question before. */
const words = {
  detach: [vscode.l10n.t("Detach Anyway"), vscode.l10n.t("Detach it anyway?")],
  keep: [vscode.l10n.t("Keep Anyway"), vscode.l10n.t("Keep it anyway?")],
  mount: [vscode.l10n.t("Mount Anyway"), vscode.l10n.t("Mount it anyway?")],
  unmount: [vscode.l10n.t("Unmount Anyway"), vscode.l10n.t("Unmount it anyway?")],
  remove: [vscode.l10n.t("Remove Anyway"), vscode.l10n.t("Remove it anyway?")],
  rename: [vscode.l10n.t("Rename Anyway"), vscode.l10n.t("Rename it anyway?")],
  rescan: [vscode.l10n.t("Rescan Anyway"), vscode.l10n.t("Rescan it anyway?")],
  resize: [vscode.l10n.t("Resize Anyway"), vscode.l10n.t("Resize it anyway?")],
  suspend: [vscode.l10n.t("Suspend Anyway"), vscode.l10n.t("Suspend it anyway?")],
  resume: [vscode.l10n.t("Resume Anyway"), vscode.l10n.t("Resume it anyway?")],
} satisfies Record<string, [string, string]>;

/**
 * Does something to a device and, where that is refused because it is somebody else's, asks and does it again.
 * @param deed what is done
 * @param about what the dialog adds for the user to recognise the device
 * @returns `undefined` where the user doesn't want to
 */
export async function confirmingForeign<T>(
  deed: keyof typeof words,
  about: string,
  run: (confirmed: { confirmForeign?: true }) => Promise<T>,
): Promise<T | undefined> {
  try {
    return await run({});
  } catch (error) {
    if (!isForeign(error)) {
      throw error;
    }
    const [button, question] = words[deed];
    const detail = `${vscode.l10n.t("Whoever did that may still need it as it is.")}\n${about}`;
    const options = { modal: true, detail };
    const chosen = await vscode.window.showWarningMessage(`${error.message} ${question}`, options, button);
    return chosen === button ? await run({ confirmForeign: true }) : undefined;
  }
}

const wordsForSeveral = {
  detach: vscode.l10n.t("Some of these devices weren't set up by you. Detach them anyway?"),
  unmount: vscode.l10n.t("Some of these weren't mounted by you. Unmount them anyway?"),
};

/**
 * The same for several: asks once, about all that have been refused because they are somebody else's.
 * @param outcome of doing it to all
 * @param again does it to those that are confirmed
 * @returns the outcome, without those that the user leaves as they are
 */
export async function confirmingForeignOfSeveral<T>(
  deed: keyof typeof wordsForSeveral,
  outcome: Outcome<T>,
  again: (foreign: T[]) => Promise<Outcome<T>>,
): Promise<Outcome<T>> {
  const foreign = outcome.failures.filter(({ error }) => isForeign(error));
  if (foreign.length === 0 || outcome.isCancelled) {
    return outcome;
  }
  const failures = outcome.failures.filter((failed) => !foreign.includes(failed));
  const [button] = words[deed];
  const whose = foreign.map(({ text }) => text).join("\n");
  const detail = `${whose}\n${vscode.l10n.t("Whoever did that may still need them as they are.")}`;
  const chosen = await vscode.window.showWarningMessage(wordsForSeveral[deed], { modal: true, detail }, button);
  if (chosen !== button) {
    return { ...outcome, failures, all: outcome.all - foreign.length };
  }
  const second = await again(foreign.map(({ one }) => one));
  return { ...outcome, done: [...outcome.done, ...second.done], failures: [...failures, ...second.failures] };
}

function isForeign(error: unknown): error is Failure {
  return error instanceof Failure && error.data.foreign === true;
}
