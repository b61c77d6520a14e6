/* To the clipboard, and said so. */
import * as vscode from "vscode";

export async function copy(text: string): Promise<void> {
  await vscode.env.clipboard.writeText(text);
  vscode.window.setStatusBarMessage(vscode.l10n.t("$(check) {0} copied", text), 5000);
}
