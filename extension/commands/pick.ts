import * as vscode from "vscode";
import type { Device, LoopDevice } from "../../helper/protocol";
import { DeviceItem, labelOf } from "../devices/items";
import type { CommandContext } from "./context";

/**
 * The loop device that a command is for: that of the item it was called on, else the one that is picked.
 * @param title what is going to be done, as the picker's title
 */
export async function pickLoop(
  { model }: CommandContext,
  title: string,
  item?: unknown,
): Promise<LoopDevice | undefined> {
  if (item instanceof DeviceItem && item.device.kind === "loop") {
    return item.device;
  }
  await model.refresh();
  const devices = model.devices.filter((device) => device.kind === "loop");
  if (devices.length === 0) {
    void vscode.window.showInformationMessage("No disk image is attached to a loop device.");
    return undefined;
  }
  const picked = await vscode.window.showQuickPick(
    devices.map((device) => ({
      device,
      label: `$(database) ${labelOf(device)}`,
      description: device.backingFile,
    })),
    { title, placeHolder: "Choose a device", matchOnDescription: true },
  );
  return picked?.device;
}

/** How a request names a device, so that it can't be taken for another that has its node by then. */
export function naming({ device, diskSequence }: Device): { device: string; diskSequence: number | null } {
  return { device, diskSequence };
}
