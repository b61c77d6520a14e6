/* Flush: all that was written to a device is on the disk under its image when it is done. */
import * as vscode from "vscode";
import { labelOf } from "../devices/items";
import type { CommandContext } from "./context";
import { naming, pickLoop } from "./pick";
import { perform, showFailure } from "./run";

export async function flush(context: CommandContext, item?: unknown): Promise<void> {
  const device = await pickLoop(context, vscode.l10n.t("Flush Loop Device"), item);
  if (!device) {
    return;
  }
  try {
    await perform(context, vscode.l10n.t("Flushing {0}", labelOf(device)), "loop/flush", naming(device));
    vscode.window.setStatusBarMessage(
      vscode.l10n.t("$(check) {0} flushed: everything is on the disk", labelOf(device)),
      5000,
    );
  } catch (error) {
    showFailure(context, error);
  }
}
