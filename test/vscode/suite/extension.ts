import * as vscode from "vscode";

export function extension(): vscode.Extension<unknown> {
  const found = vscode.extensions.getExtension("diskloom.diskloom");
  if (!found) {
    throw new Error("VS Code doesn't know the extension.");
  }
  return found;
}
