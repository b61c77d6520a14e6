/* Asking whether an installed helper of another version may be replaced. */
import * as vscode from "vscode";

/** @returns whether the user wants that */
export async function askToReplace(installed: string): Promise<boolean> {
  const question = `Replace Diskloom's privileged helper ${installed} by ${DISKLOOM_VERSION}?`;
  const detail =
    "It is installed for this machine and has to be of the same version as the extension. " +
    `${DISKLOOM_VERSION} is copied from the extension's folder.`;
  const button = "Replace";
  return (await vscode.window.showWarningMessage(question, { modal: true, detail }, button)) === button;
}
