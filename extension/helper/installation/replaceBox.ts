/* Asking whether an installed helper of another version may be replaced. */
import * as vscode from "vscode";

/** @returns whether the user wants that */
export async function askToReplace(installed: string): Promise<boolean> {
  const question = vscode.l10n.t("Replace Diskloom's privileged helper {0} by {1}?", installed, DISKLOOM_VERSION);
  const detail = vscode.l10n.t(
    "It is installed for this machine and has to be of the same version as the extension. {0} is copied from the extension's folder.",
    DISKLOOM_VERSION,
  );
  const button = vscode.l10n.t("Replace");
  return (await vscode.window.showWarningMessage(question, { modal: true, detail }, button)) === button;
}
