/* Copy Path: a device's node, or the folder that something is mounted at. */
import * as vscode from "vscode";
import { isItem, pathOf } from "../devices/items";
import type { CommandContext } from "./context";
import { copy } from "./copy";
import { pickLoop } from "./pick";

export async function copyPath(context: CommandContext, item?: unknown): Promise<void> {
  const path = isItem(item) ? pathOf(item) : (await pickLoop(context, vscode.l10n.t("Copy Path")))?.device;
  if (path !== undefined) {
    await copy(path);
  }
}
