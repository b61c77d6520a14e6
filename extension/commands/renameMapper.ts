import * as vscode from "vscode";
import type { CommandContext } from "./context";
import { confirmingForeign } from "./foreign";
import { naming, pickMapper } from "./pick";
import { perform, showFailure } from "./run";

export async function renameMapper(context: CommandContext, item?: unknown): Promise<void> {
  const device = await pickMapper(context, "Rename Device-Mapper Device", item);
  if (!device) {
    return;
  }
  const name = await vscode.window.showInputBox({
    title: `Rename ${device.name}`,
    prompt: "Its new name under /dev/mapper",
    value: device.name,
    validateInput: (text) => (text === "" || text.includes("/") ? "Write a name without a slash." : ""),
  });
  if (!name || name === device.name) {
    return;
  }
  try {
    await confirmingForeign("Rename", device.device, (confirmed) =>
      perform(context, `Renaming ${device.name}`, "mapper/rename", { ...naming(device), name, ...confirmed }),
    );
  } catch (error) {
    showFailure(context, error);
  }
}
