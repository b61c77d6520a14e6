import * as vscode from "vscode";
import type { CommandContext } from "./context";
import { pickMapper } from "./pick";

export async function copyUuid(context: CommandContext, item?: unknown): Promise<void> {
  const device = await pickMapper(context, "Copy UUID of Device-Mapper Device", item);
  if (device?.uuid) {
    await vscode.env.clipboard.writeText(device.uuid);
    vscode.window.setStatusBarMessage(`$(check) UUID of ${device.name} copied`, 5000);
  } else if (device) {
    void vscode.window.showInformationMessage(`${device.name} has no UUID.`);
  }
}
