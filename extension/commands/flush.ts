/* Flush: all that was written to a device is on the disk under its image when it is done. */
import * as vscode from "vscode";
import type { LoopDevice } from "../../helper/protocol";
import { labelOf } from "../devices/items";
import type { CommandContext } from "./context";
import { naming, pickLoop, selectedLoops } from "./pick";
import { perform, showFailure } from "./run";
import { forEachOf, ofLoops, type Sums, tellOutcome } from "./several";

export async function flush(context: CommandContext, item?: unknown, selected?: unknown): Promise<void> {
  const several = selectedLoops(selected);
  if (several.length > 1) {
    await flushSeveral(context, several);
    return;
  }
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

const sums: Sums = {
  all: (count, list) => vscode.l10n.t("{0} devices are flushed, and everything is on the disk: {1}.", count, list),
  some: (done, count, list) => vscode.l10n.t("{0} of {1} devices are flushed: {2}.", done, count, list),
  none: (count) => vscode.l10n.t("None of the {0} devices is flushed.", count),
};

async function flushSeveral(context: CommandContext, devices: readonly LoopDevice[]): Promise<void> {
  const title = vscode.l10n.t("Flushing devices");
  const outcome = await forEachOf(context, title, devices, ofLoops, async (device, { ask }) => {
    await ask("loop/flush", naming(device));
    return labelOf(device);
  });
  tellOutcome(context, sums, outcome, {});
}
