/* Unmount: one mount, or all of a device or partition. */
import * as vscode from "vscode";
import type { Params } from "../../helper/protocol";
import { DeviceItem, PartitionItem } from "../devices/items";
import { showBusy } from "./busy";
import type { CommandContext } from "./context";
import { confirmingForeign } from "./foreign";
import { pickMounts } from "./mounting";
import { perform, showFailure } from "./run";

type Which = Pick<Params<"mount/unmount">, "device" | "diskSequence" | "target">;

export async function unmount(context: CommandContext, item?: unknown): Promise<void> {
  const which = await choose(context, item);
  if (which) {
    await unmountThis(context, which, false);
  }
}

async function choose(context: CommandContext, item: unknown): Promise<Which | undefined> {
  if (item instanceof DeviceItem) {
    return { device: item.device.device, diskSequence: item.device.diskSequence };
  }
  if (item instanceof PartitionItem) {
    return { device: item.partition.device, diskSequence: item.disk?.diskSequence ?? null };
  }
  const [picked] = (await pickMounts(context, vscode.l10n.t("Unmount"), item)) ?? [];
  return picked && { target: picked.target };
}

async function unmountThis(context: CommandContext, which: Which, lazy: boolean): Promise<void> {
  const name = which.target ?? which.device ?? "";
  try {
    const done = await confirmingForeign("unmount", name, (confirmed) =>
      perform(context, vscode.l10n.t("Unmounting {0}", name), "mount/unmount", { ...which, lazy, ...confirmed }),
    );
    if (done) {
      vscode.window.setStatusBarMessage(vscode.l10n.t("$(check) {0} unmounted", name), 5000);
    }
  } catch (error) {
    if (lazy) {
      showFailure(context, error);
    } else {
      const later = { title: vscode.l10n.t("Unmount When Free"), run: () => unmountThis(context, which, true) };
      showBusy(context, name, error, { later });
    }
  }
}
