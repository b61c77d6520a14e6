/* Resize to Image: has a device take up the size that its image has now. */
import * as vscode from "vscode";
import { formatSize } from "../devices/format";
import { labelOf } from "../devices/items";
import type { CommandContext } from "./context";
import { confirmingForeign } from "./foreign";
import { naming, pickLoop } from "./pick";
import { perform, showFailure } from "./run";

export async function resize(context: CommandContext, item?: unknown): Promise<void> {
  const device = await pickLoop(context, vscode.l10n.t("Resize to Image"), item);
  if (!device) {
    return;
  }
  const name = labelOf(device);
  try {
    const resized = await confirmingForeign("resize", device.backingFile, (confirmed) =>
      perform(context, vscode.l10n.t("Resizing {0}", name), "loop/resize", { ...naming(device), ...confirmed }),
    );
    if (resized) {
      const { size } = resized.device;
      const said =
        size === device.size
          ? vscode.l10n.t("{0} has its image's size", name)
          : vscode.l10n.t("{0} was {1}, and is now {2}", name, formatSize(device.size), formatSize(size));
      vscode.window.setStatusBarMessage(`$(check) ${said}`, 5000);
    }
  } catch (error) {
    showFailure(context, error);
  }
}
