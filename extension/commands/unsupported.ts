/* Where there is no Linux kernel to attach anything: every command and the editor for images say so, and where to go instead. */
import * as vscode from "vscode";
import { EDITOR } from "../views/diskMap";

/** @param commands the ids of all commands */
export function registerUnsupported(commands: readonly string[]): vscode.Disposable[] {
  void vscode.commands.executeCommand("setContext", "diskloom.unsupported", true);
  const words =
    "Loop devices are a part of Linux. Open a folder on a Linux machine (Remote-SSH, WSL, a container) and install " +
    "Diskloom there.";
  const say = () => vscode.window.showErrorMessage(words);
  return [
    ...commands.map((id) => vscode.commands.registerCommand(id, say)),
    vscode.window.registerCustomEditorProvider(EDITOR, {
      openCustomDocument: (uri) => ({ uri, dispose: () => {} }),
      resolveCustomEditor() {
        throw new Error(words);
      },
    }),
  ];
}
