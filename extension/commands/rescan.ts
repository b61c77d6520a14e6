/* Rescan Partitions: has the kernel take over what an image's partition table says now. */
import * as vscode from "vscode";
import { labelOf } from "../devices/items";
import type { CommandContext } from "./context";
import { confirmingForeign } from "./foreign";
import { naming, pickLoop } from "./pick";
import { perform, showFailure } from "./run";

export async function rescan(context: CommandContext, item?: unknown): Promise<void> {
  const device = await pickLoop(context, vscode.l10n.t("Rescan Partitions"), item);
  if (!device) {
    return;
  }
  const name = labelOf(device);
  try {
    const found = await confirmingForeign("rescan", device.backingFile, (confirmed) =>
      perform(context, vscode.l10n.t("Rescanning {0}", name), "partition/rescan", { ...naming(device), ...confirmed }),
    );
    if (found) {
      const count = found.partitions.length;
      vscode.window.setStatusBarMessage(`$(check) ${saying(name, count)}`, 5000);
    }
  } catch (error) {
    showFailure(context, error);
  }
}

function saying(name: string, count: number): string {
  if (count === 0) {
    return vscode.l10n.t("{0} has no partitions", name);
  }
  return count === 1
    ? vscode.l10n.t("{0} has one partition", name)
    : vscode.l10n.t("{0} has {1} partitions", name, count);
}
