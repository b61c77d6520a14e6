/*
 * When the view may ask for trust. In a window's first moments VS Code takes every workspace for untrusted, and who has
 * trusted theirs long ago is not to be asked again.
 */
import * as vscode from "vscode";

/** Longer than VS Code takes to find out, in milliseconds. */
const FIRST_MOMENTS = 3000;

/** Sets `diskloom.untrusted` for as long as the workspace isn't trusted, once that is sure. */
export function watchTrust(): vscode.Disposable {
  const set = (untrusted: boolean) =>
    void vscode.commands.executeCommand("setContext", "diskloom.untrusted", untrusted);
  const timer = setTimeout(() => set(!vscode.workspace.isTrusted), FIRST_MOMENTS);
  const granted = vscode.workspace.onDidGrantWorkspaceTrust(() => set(false));
  return vscode.Disposable.from(granted, { dispose: () => clearTimeout(timer) });
}
