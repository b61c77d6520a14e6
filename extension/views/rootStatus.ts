/* The status bar says so as long as a helper runs that is root where VS Code itself isn't. */
import * as vscode from "vscode";
import type { HelperClient } from "../helper/client";
import { thisMachine } from "../helper/machine";

/** Right of the images that are attached. */
const PRIORITY = 0;

export function showRootStatus(client: HelperClient): vscode.Disposable {
  const item = vscode.window.createStatusBarItem("diskloom.root", vscode.StatusBarAlignment.Left, PRIORITY);
  item.name = "Diskloom: Helper as Root";
  item.text = "$(shield) Diskloom: root";
  item.command = "diskloom.helperMenu";
  const listening = client.onDidChangeRoot((info) => {
    void vscode.commands.executeCommand("setContext", "diskloom.root", info !== undefined);
    if (info && !thisMachine.isRoot()) {
      item.tooltip = `Diskloom's helper runs as root (process ${info.pid}) for ${info.caller.name}. Click to stop or restart it.`;
      item.accessibilityInformation = { label: "Diskloom's helper runs as root. Stop or restart it." };
      item.show();
    } else {
      item.hide();
    }
  });
  return vscode.Disposable.from(item, listening);
}
