/* Where there is no Linux kernel to attach anything: every command and the editor for images say so, and offer a window on one. */
import * as vscode from "vscode";
import { EDITOR } from "../views/diskMap";
import { type NextStep, offer } from "./run";

export const UNSUPPORTED = vscode.l10n.t(
  "Loop devices are a part of Linux. Open a folder on a Linux machine (Remote-SSH, WSL, a container) and install Diskloom there.",
);

/** Extensions that open such windows, and their commands. */
const ways = [
  {
    extension: "ms-vscode-remote.remote-wsl",
    title: vscode.l10n.t("Reopen in WSL"),
    command: "remote-wsl.reopenInWSL",
  },
  {
    extension: "ms-vscode-remote.remote-ssh",
    title: vscode.l10n.t("Connect to Host..."),
    command: "opensshremotes.openEmptyWindow",
  },
  {
    extension: "ms-vscode-remote.remote-containers",
    title: vscode.l10n.t("Reopen in Container"),
    command: "remote-containers.reopenInContainer",
  },
];
/** VS Code's own, which also installs what it lists. */
const menu = { title: vscode.l10n.t("Open a Remote Window..."), command: "workbench.action.remote.showMenu" };

/** @param commands the ids of all commands */
export function registerUnsupported(commands: readonly string[]): vscode.Disposable[] {
  void vscode.commands.executeCommand("setContext", "diskloom.unsupported", true);
  return [
    ...commands.map((id) => vscode.commands.registerCommand(id, say)),
    vscode.window.registerCustomEditorProvider(EDITOR, {
      openCustomDocument: (uri) => ({ uri, dispose: () => {} }),
      resolveCustomEditor() {
        throw new Error(UNSUPPORTED);
      },
    }),
  ];
}

function say(): void {
  const installed = ways.filter(({ extension }) => vscode.extensions.getExtension(extension) !== undefined);
  const steps = (installed.length > 0 ? installed : [menu]).map(
    ({ title, command }): NextStep => ({ title, run: () => vscode.commands.executeCommand(command) }),
  );
  offer(vscode.window.showErrorMessage(UNSUPPORTED, ...steps.map(({ title }) => title)), steps);
}
