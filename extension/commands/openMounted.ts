/* Open Mounted Folder, Add Mounted Folder to Workspace and Open Terminal Here: what is mounted, as VS Code opens folders. */
import { basename } from "node:path";
import * as vscode from "vscode";
import type { Mount } from "../../helper/protocol";
import type { CommandContext } from "./context";
import { pickMounts } from "./mounting";

/** Longer than VS Code takes to add a folder, in milliseconds: it doesn't say where it fails to. */
const ADDING_LIMIT = 10_000;

export async function openMounted(context: CommandContext, item?: unknown): Promise<void> {
  const picked = await pickMounts(context, vscode.l10n.t("Open Mounted Folder"), item);
  await openFolder(picked ?? []);
}

export async function addMounted(context: CommandContext, item?: unknown): Promise<void> {
  const picked = await pickMounts(context, vscode.l10n.t("Add Mounted Folder to Workspace"), item);
  const mount = await pickOne(picked ?? [], vscode.l10n.t("Add Mounted Folder to Workspace"));
  if (mount && !isInWorkspace(mount)) {
    const uri = vscode.Uri.file(mount.target);
    const begun = vscode.workspace.updateWorkspaceFolders(vscode.workspace.workspaceFolders?.length ?? 0, 0, { uri });
    if (!(begun && (await isAdded(mount)))) {
      throw new Error(vscode.l10n.t("VS Code has not added {0} to the workspace. Try again.", mount.target));
    }
  }
}

function isInWorkspace({ target }: Mount): boolean {
  return vscode.workspace.workspaceFolders?.some(({ uri }) => uri.path === vscode.Uri.file(target).path) ?? false;
}

function isAdded(mount: Mount): Promise<boolean> {
  return new Promise((resolve) => {
    const end = (added: boolean) => {
      clearTimeout(timer);
      listening.dispose();
      resolve(added);
    };
    const listening = vscode.workspace.onDidChangeWorkspaceFolders(() => isInWorkspace(mount) && end(true));
    const timer = setTimeout(() => end(false), ADDING_LIMIT);
  });
}

/** Open Terminal Here: in VS Code's own panel, on the machine that has the mount. */
export async function openTerminal(context: CommandContext, item?: unknown): Promise<void> {
  const title = vscode.l10n.t("Open Terminal Here");
  const mount = await pickOne((await pickMounts(context, title, item)) ?? [], title);
  if (mount) {
    vscode.window.createTerminal({ name: basename(mount.target), cwd: mount.target }).show();
  }
}

/** Opens one of these in a window of its own; which one, is asked where there are several. */
export async function openFolder(mounts: readonly Mount[]): Promise<void> {
  const mount = await pickOne(mounts, vscode.l10n.t("Open Mounted Folder"));
  if (mount) {
    const options = { forceNewWindow: true };
    await vscode.commands.executeCommand("vscode.openFolder", vscode.Uri.file(mount.target), options);
  }
}

/** @param title what is going to be done with it */
async function pickOne(mounts: readonly Mount[], title: string): Promise<Mount | undefined> {
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
    { title, placeHolder: vscode.l10n.t("Choose a folder") },
  );
  return picked?.mount;
}
