/* Remove and its kin: a mapper device goes, what it stands on stays. */
import * as vscode from "vscode";
import type { MapperDevice } from "../../helper/protocol";
import { showBusy } from "./busy";
import type { CommandContext } from "./context";
import { confirmingForeign } from "./foreign";
import { naming, pickMapper } from "./pick";
import { perform } from "./run";

type WhenBusy = "refuse" | "unmount" | "deferred";

export const removeMapper = (context: CommandContext, item?: unknown) =>
  removePicked(context, vscode.l10n.t("Remove Device-Mapper Device"), "refuse", item);
export const unmountAndRemove = (context: CommandContext, item?: unknown) =>
  removePicked(context, vscode.l10n.t("Unmount and Remove Device-Mapper Device"), "unmount", item);
export const removeWhenFree = (context: CommandContext, item?: unknown) =>
  removePicked(context, vscode.l10n.t("Remove Device-Mapper Device When Free"), "deferred", item);

async function removePicked(context: CommandContext, title: string, whenBusy: WhenBusy, item: unknown): Promise<void> {
  const device = await pickMapper(context, title, item);
  if (device) {
    await removeDevice(context, device, whenBusy);
  }
}

async function removeDevice(context: CommandContext, device: MapperDevice, whenBusy: WhenBusy): Promise<void> {
  const again = (whenBusy: WhenBusy) => () => removeDevice(context, device, whenBusy);
  try {
    const outcome = await confirmingForeign("remove", device.device, (confirmed) =>
      perform(context, vscode.l10n.t("Removing {0}", device.name), "mapper/remove", {
        ...naming(device),
        whenBusy,
        ...confirmed,
      }),
    );
    if (outcome?.state === "pending") {
      void vscode.window.showInformationMessage(
        vscode.l10n.t("{0} will be removed as soon as nobody uses it any more.", device.name),
      );
    } else if (outcome) {
      vscode.window.setStatusBarMessage(vscode.l10n.t("$(check) {0} removed", device.name), 5000);
    }
  } catch (error) {
    showBusy(context, device.device, error, {
      unmount: { title: vscode.l10n.t("Unmount and Remove"), run: again("unmount") },
      later: { title: vscode.l10n.t("Remove When Free"), run: again("deferred") },
    });
  }
}
