/* Rescan Partitions: has the kernel take over what an image's partition table says now. */
import * as vscode from "vscode";
import { labelOf } from "../devices/items";
import type { CommandContext } from "./context";
import { confirmingForeign } from "./foreign";
import { naming, pickLoop } from "./pick";
import { perform, showFailure } from "./run";

export async function rescan(context: CommandContext, item?: unknown): Promise<void> {
  const device = await pickLoop(context, "Rescan Partitions", item);
  if (!device) {
    return;
  }
  const name = labelOf(device);
  try {
    const found = await confirmingForeign("Rescan", device.backingFile, (confirmed) =>
      perform(context, `Rescanning ${name}`, "partition/rescan", { ...naming(device), ...confirmed }),
    );
    if (found) {
      const count = found.partitions.length;
      const partitions = count === 1 ? "one partition" : `${count || "no"} partitions`;
      vscode.window.setStatusBarMessage(`$(check) ${name} has ${partitions}`, 5000);
    }
  } catch (error) {
    showFailure(context, error);
  }
}
