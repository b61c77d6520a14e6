/*
 * Detach and its kin: from the tree, or from the palette with a pick of devices. A device that is in use can be left to
 * the kernel to detach when its last user is gone, and kept after all until then.
 */
import { basename } from "node:path";
import * as vscode from "vscode";
import type { LoopDevice } from "../../helper/protocol";
import { labelOf } from "../devices/items";
import { showBusy } from "./busy";
import type { CommandContext } from "./context";
import { detachSeveral, type WhenBusy } from "./detachSeveral";
import { confirmingForeign } from "./foreign";
import { naming, pickLoop, selectedLoops } from "./pick";
import { offer, perform, showFailure } from "./run";

export const detach = (context: CommandContext, item?: unknown, selected?: unknown) =>
  detachPicked(context, vscode.l10n.t("Detach Loop Device"), "refuse", item, selected);
/** All that is mounted of an image is unmounted and the image detached, or all stays as it is. */
export const unmountAndDetach = (context: CommandContext, item?: unknown, selected?: unknown) =>
  detachPicked(context, vscode.l10n.t("Unmount and Detach"), "unmount", item, selected);
export const detachWhenFree = (context: CommandContext, item?: unknown, selected?: unknown) =>
  detachPicked(context, vscode.l10n.t("Detach When Free"), "lazy", item, selected);

async function detachPicked(
  context: CommandContext,
  title: string,
  whenBusy: WhenBusy,
  item: unknown,
  selected: unknown,
): Promise<void> {
  const several = selectedLoops(selected);
  if (several.length > 1) {
    await detachSeveral(context, several, whenBusy);
    return;
  }
  const device = await pickLoop(context, title, item);
  if (device) {
    await detachDevice(context, device, whenBusy);
  }
}

/** Keep Attached: a device that would go with its last user stays. */
export async function keepAttached(context: CommandContext, item?: unknown): Promise<void> {
  const device = await pickLoop(context, vscode.l10n.t("Keep Attached"), item);
  if (device) {
    await keepDevice(context, device);
  }
}

async function detachDevice(context: CommandContext, device: LoopDevice, whenBusy: WhenBusy): Promise<void> {
  const name = labelOf(device);
  const again = (whenBusy: WhenBusy) => () => detachDevice(context, device, whenBusy);
  try {
    const outcome = await confirmingForeign("detach", vscode.l10n.t("Image: {0}", device.backingFile), (confirmed) =>
      perform(context, vscode.l10n.t("Detaching {0}", name), "loop/detach", {
        ...naming(device),
        whenBusy,
        ...confirmed,
      }),
    );
    if (outcome?.state === "pending") {
      const keep = { title: vscode.l10n.t("Keep Attached"), run: () => keepDevice(context, device) };
      const message = vscode.l10n.t("{0} will be detached as soon as nobody uses it any more.", name);
      offer(vscode.window.showInformationMessage(message, keep.title), [keep]);
    } else if (outcome) {
      vscode.window.setStatusBarMessage(
        vscode.l10n.t("$(check) {0} ({1}) detached", name, basename(device.backingFile)),
        5000,
      );
    }
  } catch (error) {
    showBusy(context, device.device, error, {
      unmount: { title: vscode.l10n.t("Unmount and Detach"), run: again("unmount") },
      later: { title: vscode.l10n.t("Detach When Free"), run: again("lazy") },
    });
  }
}

async function keepDevice(context: CommandContext, device: LoopDevice): Promise<void> {
  const name = labelOf(device);
  try {
    const kept = await confirmingForeign("keep", vscode.l10n.t("Image: {0}", device.backingFile), (confirmed) =>
      perform(context, vscode.l10n.t("Keeping {0}", name), "loop/update", {
        ...naming(device),
        autoclear: false,
        ...confirmed,
      }),
    );
    if (kept) {
      vscode.window.setStatusBarMessage(vscode.l10n.t("$(check) {0} stays attached", name), 5000);
    }
  } catch (error) {
    showFailure(context, error);
  }
}
