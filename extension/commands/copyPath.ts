/* Copy Path: a device's node, or the folder that something is mounted at. */
import * as vscode from "vscode";
import { DeviceItem, MountItem, PartitionItem } from "../devices/items";
import type { CommandContext } from "./context";
import { pickLoop } from "./pick";

export async function copyPath(context: CommandContext, item?: unknown): Promise<void> {
  const path = await pathOf(context, item);
  if (path !== undefined) {
    await vscode.env.clipboard.writeText(path);
    vscode.window.setStatusBarMessage(`$(check) ${path} copied`, 5000);
  }
}

async function pathOf(context: CommandContext, item: unknown): Promise<string | undefined> {
  if (item instanceof MountItem) {
    return item.mount.target;
  }
  if (item instanceof PartitionItem) {
    return item.partition.device;
  }
  return item instanceof DeviceItem ? item.device.device : (await pickLoop(context, "Copy Path", item))?.device;
}
