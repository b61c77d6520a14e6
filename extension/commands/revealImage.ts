/* Reveal Image: the file under a device, in the explorer where it is in the workspace, else by the operating system. */
import { basename } from "node:path";
import * as vscode from "vscode";
import type { CommandContext } from "./context";
import { pickLoop } from "./pick";
import { offer } from "./run";

export async function revealImage(context: CommandContext, item?: unknown): Promise<void> {
  const device = await pickLoop(context, vscode.l10n.t("Reveal Image"), item);
  if (!device) {
    return;
  }
  const { backingFile, backingFileDeleted } = device;
  const image = vscode.Uri.file(backingFile);
  if (backingFileDeleted) {
    void vscode.window.showInformationMessage(
      vscode.l10n.t("{0} was deleted or replaced, so it can't be shown.", basename(backingFile)),
    );
  } else if (vscode.workspace.getWorkspaceFolder(image)) {
    await vscode.commands.executeCommand("revealInExplorer", image);
  } else if (vscode.env.uiKind === vscode.UIKind.Desktop && vscode.env.remoteName === undefined) {
    await vscode.commands.executeCommand("revealFileInOS", image);
  } else {
    const copy = { title: vscode.l10n.t("Copy Path"), run: () => vscode.env.clipboard.writeText(backingFile) };
    offer(
      vscode.window.showInformationMessage(
        vscode.l10n.t("The image is {0}, outside of this workspace.", backingFile),
        copy.title,
      ),
      [copy],
    );
  }
}
