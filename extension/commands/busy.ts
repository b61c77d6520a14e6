/*
 * A device or mount that is in use is no dead end: who uses it can be seen, and there are ways on. One of these is
 * always to have it done when the last user is gone.
 */
import * as vscode from "vscode";
import type { User } from "../../helper/protocol";
import { Failure } from "../helper/failure";
import type { CommandContext } from "./context";
import { copy } from "./copy";
import { type ProcessDetails, processDetails } from "./processDetails";
import { type NextStep, showFailure } from "./run";

/** As the helper calls where swap space is used. */
const SWAP = "[SWAP]";

/** Doing it all the same. */
export interface Ways {
  /** For what is kept by nothing but mounts. */
  unmount?: NextStep;
  later: NextStep;
}

/** Tells the user why something failed and, where it is because of who uses it, how it can go on. */
export function showBusy(context: CommandContext, subject: string, error: unknown, { unmount, later }: Ways): void {
  if (!(error instanceof Failure) || error.reason !== "busy") {
    showFailure(context, error);
    return;
  }
  const users = error.data.users ?? [];
  const ways = [...(unmount && isKeptByMounts(users) ? [unmount] : []), later];
  const show = { title: vscode.l10n.t("Show Users"), run: () => showUsers(context, subject, users, ways) };
  showFailure(context, error, users.length > 0 ? [...ways, show] : ways);
}

/** Nothing uses it that would outlast its being unmounted. */
export function isKeptByMounts(users: readonly User[]): boolean {
  return users.some(({ kind }) => kind === "mount") && !users.some(outlastsUnmount);
}

function outlastsUnmount(user: User): boolean {
  return user.kind === "holder" || (user.kind === "mount" && user.target === SWAP);
}

type Choice = vscode.QuickPickItem & { run?: () => unknown };

async function showUsers(context: CommandContext, subject: string, users: User[], ways: NextStep[]): Promise<void> {
  const choices: Choice[] = [
    ...(await Promise.all(users.map((user) => choiceOf(context, user)))),
    { label: vscode.l10n.t("What to do"), kind: vscode.QuickPickItemKind.Separator },
    ...ways.map(({ title, run }) => ({ label: `$(arrow-right) ${title}`, run })),
  ];
  const options = {
    title: vscode.l10n.t("Users of {0}", subject),
    placeHolder: vscode.l10n.t("Choose what to do, or Escape"),
    matchOnDescription: true,
  };
  const chosen = await vscode.window.showQuickPick(choices, options);
  await chosen?.run?.();
}

async function choiceOf(context: CommandContext, user: User): Promise<Choice> {
  switch (user.kind) {
    case "mount":
      return user.target === SWAP
        ? { label: vscode.l10n.t("$(database) Swap space"), description: vscode.l10n.t("The system swaps to it") }
        : {
            label: `$(folder-opened) ${user.target}`,
            description: vscode.l10n.t("It is mounted here"),
            run: () => copy(user.target),
          };
    case "holder":
      return {
        label: `$(layers) ${user.device}`,
        description: vscode.l10n.t("This device stands on it"),
        run: () => context.view.reveal(user.device),
      };
    case "process": {
      const details = await processDetails(user.pid);
      return {
        label: `$(terminal) ${user.command}`,
        description: details
          ? vscode.l10n.t("Process {0} of {1}", user.pid, details.user)
          : vscode.l10n.t("Process {0}", user.pid),
        ...(details && { detail: inDetail(details) }),
        run: () => copy(String(user.pid)),
      };
    }
  }
}

function inDetail({ commandLine, folder }: ProcessDetails): string {
  return folder === undefined ? commandLine : vscode.l10n.t("{0} (in {1})", commandLine, folder);
}
