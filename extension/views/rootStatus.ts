/* The status bar says so as long as a helper runs that is root. */
import * as vscode from "vscode";
import type { HelperClient } from "../helper/client";

/** Right of the images that are attached. */
const PRIORITY = 0;

export function showRootStatus(client: HelperClient): vscode.Disposable {
  const item = vscode.window.createStatusBarItem("diskloom.root", vscode.StatusBarAlignment.Left, PRIORITY);
  item.name = vscode.l10n.t("Diskloom: Helper as Root");
  item.text = vscode.l10n.t("$(shield) Diskloom: root");
  item.command = "diskloom.helperMenu";
  const listening = client.onDidChangeRoot((info) => {
    void vscode.commands.executeCommand("setContext", "diskloom.root", info !== undefined);
    if (info) {
      item.tooltip = vscode.l10n.t(
        "Diskloom's helper runs as root (process {0}) for {1}. Click to stop or restart it.",
        info.pid,
        info.caller.name,
      );
      item.accessibilityInformation = { label: vscode.l10n.t("Diskloom's helper runs as root. Stop or restart it.") };
      item.show();
    } else {
      item.hide();
    }
  });
  return vscode.Disposable.from(item, listening);
}
