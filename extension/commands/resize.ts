/* Resize to Image: has a device take up the size that its image has now. */
import * as vscode from "vscode";
import { formatSize } from "../devices/format";
import { labelOf } from "../devices/items";
import type { CommandContext } from "./context";
import { confirmingForeign } from "./foreign";
import { naming, pickLoop } from "./pick";
import { perform, showFailure } from "./run";

export async function resize(context: CommandContext, item?: unknown): Promise<void> {
  const device = await pickLoop(context, "Resize to Image", item);
  if (!device) {
    return;
  }
  const name = labelOf(device);
  try {
    const resized = await confirmingForeign("Resize", device.backingFile, (confirmed) =>
      perform(context, `Resizing ${name}`, "loop/resize", { ...naming(device), ...confirmed }),
    );
    if (resized) {
      const { size } = resized.device;
      const change = size === device.size ? "has its image's size" : `was ${formatSize(device.size)}, and is now`;
      vscode.window.setStatusBarMessage(
        `$(check) ${name} ${change}${size === device.size ? "" : ` ${formatSize(size)}`}`,
        5000,
      );
    }
  } catch (error) {
    showFailure(context, error);
  }
}
