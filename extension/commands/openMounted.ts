/* Open Mounted Folder and Add Mounted Folder to Workspace: what is mounted, as VS Code opens folders. */
import { basename } from "node:path";
import * as vscode from "vscode";
import type { Mount } from "../../helper/protocol";
import type { CommandContext } from "./context";
import { pickMounts } from "./mounting";

export async function openMounted(context: CommandContext, item?: unknown): Promise<void> {
  const picked = await pickMounts(context, vscode.l10n.t("Open Mounted Folder"), item);
  await openFolder(picked ?? []);
}

export async function addMounted(context: CommandContext, item?: unknown): Promise<void> {
  const picked = await pickMounts(context, vscode.l10n.t("Add Mounted Folder to Workspace"), item);
  const mount = await pickOne(picked ?? []);
  if (mount) {
    const uri = vscode.Uri.file(mount.target);
    vscode.workspace.updateWorkspaceFolders(vscode.workspace.workspaceFolders?.length ?? 0, 0, { uri });
  }
}

/** Opens one of these in a window of its own; which one, is asked where there are several. */
export async function openFolder(mounts: readonly Mount[]): Promise<void> {
  const mount = await pickOne(mounts);
  if (mount) {
    const options = { forceNewWindow: true };
    await vscode.commands.executeCommand("vscode.openFolder", vscode.Uri.file(mount.target), options);
  }
}

async function pickOne(mounts: readonly Mount[]): Promise<Mount | undefined> {
  const [first, ...others] = mounts;
  if (others.length === 0) {
    return first;
  }
  const picked = await vscode.window.showQuickPick(
    mounts.map((mount) => ({
      label: `$(folder-opened) ${basename(mount.target)}`,
      description: mount.fileSystem,
      detail: mount.target,
      mount,
    })),
    { title: vscode.l10n.t("Open Mounted Folder"), placeHolder: vscode.l10n.t("Choose a folder") },
  );
  return picked?.mount;
}
