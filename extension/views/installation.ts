/* Lets VS Code know whether a helper is installed and, where none is, tells the user once what that would change. */
import * as vscode from "vscode";
import type { HelperClient } from "../helper/client";
import { isInstalled } from "../helper/installation/installed";
import { thisMachine } from "../helper/machine";

/** In the extension's state for all workspaces: it has been told. */
const TOLD = "diskloom.installationSuggested";

/** Only what is installed can be uninstalled. */
export function tellInstalled(): void {
  void vscode.commands.executeCommand("setContext", "diskloom.installed", isInstalled());
}

export function suggestInstallation(client: HelperClient, state: vscode.Memento): vscode.Disposable {
  tellInstalled();
  return client.onDidChangeRoot((root) => {
    tellInstalled();
    // Where VS Code is root, so is all it starts.
    if (root && !thisMachine.isRoot() && !isInstalled() && !state.get(TOLD)) {
      void state.update(TOLD, true);
      void suggest();
    }
  });
}

async function suggest(): Promise<void> {
  const message = vscode.l10n.t(
    "Diskloom's root helper runs from the extension's folder, where any program of yours can change it. Installed, it belongs to root, and only that copy becomes root.",
  );
  const button = vscode.l10n.t("Install Privileged Helper...");
  if ((await vscode.window.showInformationMessage(message, button)) === button) {
    await vscode.commands.executeCommand("diskloom.installHelper");
  }
}
