import * as vscode from "vscode";
import type { CommandContext } from "./context";
import { confirmingForeign } from "./foreign";
import { naming, pickMapper } from "./pick";
import { perform, showFailure } from "./run";

export async function renameMapper(context: CommandContext, item?: unknown): Promise<void> {
  const device = await pickMapper(context, vscode.l10n.t("Rename Device-Mapper Device"), item);
  if (!device) {
    return;
  }
  const name = await vscode.window.showInputBox({
    title: vscode.l10n.t("Rename {0}", device.name),
    prompt: vscode.l10n.t("Its new name under /dev/mapper"),
    value: device.name,
    validateInput: (text) => (text === "" || text.includes("/") ? vscode.l10n.t("Write a name without a slash.") : ""),
  });
  if (!name || name === device.name) {
    return;
  }
  try {
    await confirmingForeign("rename", device.device, (confirmed) =>
      perform(context, vscode.l10n.t("Renaming {0}", device.name), "mapper/rename", {
        ...naming(device),
        name,
        ...confirmed,
      }),
    );
  } catch (error) {
    showFailure(context, error);
  }
}
