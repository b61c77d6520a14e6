import * as vscode from "vscode";
import type { CommandContext } from "./context";
import { pickMapper } from "./pick";

export async function copyUuid(context: CommandContext, item?: unknown): Promise<void> {
  const device = await pickMapper(context, vscode.l10n.t("Copy UUID of Device-Mapper Device"), item);
  if (device?.uuid) {
    await vscode.env.clipboard.writeText(device.uuid);
    vscode.window.setStatusBarMessage(vscode.l10n.t("$(check) UUID of {0} copied", device.name), 5000);
  } else if (device) {
    void vscode.window.showInformationMessage(vscode.l10n.t("{0} has no UUID.", device.name));
  }
}
