/* Copy Path: a device's node, or the folder that something is mounted at; of several a line each. */
import * as vscode from "vscode";
import { isItem, pathOf } from "../devices/items";
import type { CommandContext } from "./context";
import { copy } from "./copy";
import { pickLoop } from "./pick";

export async function copyPath(context: CommandContext, item?: unknown, selected?: unknown): Promise<void> {
  const several = Array.isArray(selected) ? selected.filter(isItem).map(pathOf) : [];
  if (several.length > 1) {
    await vscode.env.clipboard.writeText(several.join("\n"));
    vscode.window.setStatusBarMessage(vscode.l10n.t("$(check) {0} paths copied", several.length), 5000);
    return;
  }
  const path = isItem(item) ? pathOf(item) : (await pickLoop(context, vscode.l10n.t("Copy Path")))?.device;
  if (path !== undefined) {
    await copy(path);
  }
}
