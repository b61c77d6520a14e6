/* Install Privileged Helper and Uninstall Privileged Helper: a copy that only root can change. */
import { join } from "node:path";
import * as vscode from "vscode";
import { PLACES } from "../helper/installation/places";
import type { Deed } from "../helper/installation/run";
import { tellInstalled } from "../views/installation";
import type { CommandContext } from "./context";
import { ending } from "./helper";

const FOLDER = join(PLACES.base, DISKLOOM_VERSION);

export async function installHelper(context: CommandContext): Promise<void> {
  await change(context, "install", {
    question: vscode.l10n.t("Install Diskloom's privileged helper?"),
    detail: vscode.l10n.t(
      "Without it, what becomes root is in the extension's folder, where any program of yours can change it. Installed, the helper and the Node that runs it are in {0}, which belongs to root, with a polkit policy of their own. From then on only that copy becomes root.",
      FOLDER,
    ),
    button: vscode.l10n.t("Install"),
    anyway: vscode.l10n.t("Install Anyway"),
    done: vscode.l10n.t("Diskloom's helper is installed in {0}. From now on only that copy becomes root.", FOLDER),
  });
}

export async function uninstallHelper(context: CommandContext): Promise<void> {
  await change(context, "uninstall", {
    question: vscode.l10n.t("Uninstall Diskloom's privileged helper?"),
    detail: vscode.l10n.t(
      "{0} and its polkit policy are removed. What becomes root is then in the extension's folder again, where any program of yours can change it.",
      PLACES.base,
    ),
    button: vscode.l10n.t("Uninstall"),
    anyway: vscode.l10n.t("Uninstall Anyway"),
    done: vscode.l10n.t("Diskloom's privileged helper is uninstalled."),
  });
}

interface Words {
  question: string;
  detail: string;
  button: string;
  /** Confirms that devices go with the helper. */
  anyway: string;
  done: string;
}

async function change(context: CommandContext, deed: Deed, words: Words): Promise<void> {
  const { question, detail, button, anyway, done } = words;
  if ((await vscode.window.showWarningMessage(question, { modal: true, detail }, button)) !== button) {
    return;
  }
  await ending(context, anyway, async () => {
    const progress = { location: vscode.ProgressLocation.Window, title: `Diskloom: ${button}` };
    try {
      await vscode.window.withProgress(progress, () => context.client.changeInstallation(deed));
    } finally {
      tellInstalled();
    }
    void vscode.window.showInformationMessage(done);
  });
}
