/*
 * The status bar says how many images one has attached, as long as there are any; a click shows them. Those that the
 * system has attached, as it does for snaps, are none of them.
 */
import { basename } from "node:path";
import * as vscode from "vscode";
import { labelOf } from "../devices/items";
import { isMine } from "../devices/mine";
import type { DeviceModel } from "../devices/model";
import { VIEW_ID } from "../devices/view";

/** Left of the helper that is root. */
const PRIORITY = 1;

export function showAttachedStatus(model: DeviceModel): vscode.Disposable {
  const item = vscode.window.createStatusBarItem("diskloom.attached", vscode.StatusBarAlignment.Left, PRIORITY);
  item.name = vscode.l10n.t("Diskloom: Attached Images");
  item.command = `${VIEW_ID}.focus`;
  const listening = model.onDidChange(() => {
    const images = model.devices.filter(isMine);
    void vscode.commands.executeCommand("setContext", "diskloom.attached", images.length > 0);
    if (images.length === 0) {
      item.hide();
      return;
    }
    const count = images.length === 1 ? vscode.l10n.t("1 image") : vscode.l10n.t("{0} images", images.length);
    item.text = `$(database) ${count}`;
    item.tooltip = images
      .map((device) => vscode.l10n.t("{0} is attached as {1}", basename(device.backingFile), labelOf(device)))
      .join("\n");
    item.accessibilityInformation = {
      label:
        images.length === 1
          ? vscode.l10n.t("Diskloom has 1 image attached. Show the devices.")
          : vscode.l10n.t("Diskloom has {0} images attached. Show the devices.", images.length),
    };
    item.show();
  });
  return vscode.Disposable.from(item, listening);
}
