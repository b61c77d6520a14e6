/* Where there is no Linux kernel to attach anything: every command says so, and where to go instead. */
import * as vscode from "vscode";

/** @param commands the ids of all commands */
export function registerUnsupported(commands: readonly string[]): vscode.Disposable[] {
  void vscode.commands.executeCommand("setContext", "diskloom.unsupported", true);
  const say = () =>
    vscode.window.showErrorMessage(
      "Loop devices are a part of Linux. Open a folder on a Linux machine (Remote-SSH, WSL, a container) and install " +
        "Diskloom there.",
    );
  return commands.map((id) => vscode.commands.registerCommand(id, say));
}
