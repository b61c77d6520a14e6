import * as vscode from "vscode";
import type { Device, LoopDevice, MapperDevice } from "../../helper/protocol";
import { DeviceItem, iconOf, labelOf } from "../devices/items";
import type { CommandContext } from "./context";

const kinds = {
  loop: {
    none: vscode.l10n.t("No disk image is attached to a loop device."),
    about: (device: LoopDevice) => device.backingFile,
  },
  mapper: {
    none: vscode.l10n.t("There is no device-mapper device."),
    about: (device: MapperDevice) => device.table.map(({ type }) => type).join(", "),
  },
};

/**
 * The device that a command is for: that of the item it was called on, else the one that is picked.
 * @param title what is going to be done, as the picker's title
 */
export const pickLoop = (context: CommandContext, title: string, item?: unknown) =>
  pickDevice(context, "loop", title, kinds.loop, item);
export const pickMapper = (context: CommandContext, title: string, item?: unknown) =>
  pickDevice(context, "mapper", title, kinds.mapper, item);

/** The loop devices among the items that are selected, where a command was called on several; each once. */
export function selectedLoops(selected: unknown): LoopDevice[] {
  const items: unknown[] = Array.isArray(selected) ? selected : [];
  return [
    ...new Set(items.flatMap((item) => (item instanceof DeviceItem && isLoop(item.device) ? [item.device] : []))),
  ];
}

const isLoop = (device: Device): device is LoopDevice => device.kind === "loop";

async function pickDevice<K extends Device["kind"], D extends Device & { kind: K }>(
  { model }: CommandContext,
  kind: K,
  title: string,
  { none, about }: { none: string; about: (device: D) => string },
  item: unknown,
): Promise<D | undefined> {
  const isWanted = (device: Device): device is D => device.kind === kind;
  if (item instanceof DeviceItem && isWanted(item.device)) {
    return item.device;
  }
  await model.refresh();
  const devices = model.devices.filter(isWanted);
  if (devices.length === 0) {
    void vscode.window.showInformationMessage(none);
    return undefined;
  }
  const picked = await vscode.window.showQuickPick(
    devices.map((device) => ({
      device,
      label: `$(${iconOf(device)}) ${labelOf(device)}`,
      description: about(device),
    })),
    { title, placeHolder: vscode.l10n.t("Choose a device"), matchOnDescription: true },
  );
  return picked?.device;
}

/** How a request names a device, so that it can't be taken for another that has its node by then. */
export function naming({ device, diskSequence }: Device): { device: string; diskSequence: number | null } {
  return { device, diskSequence };
}
