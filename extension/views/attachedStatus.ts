/*
 * The status bar says how many images one has attached, as long as there are any; a click shows them. Those that the
 * system has attached, as it does for snaps, are none of them.
 */
import { basename } from "node:path";
import * as vscode from "vscode";
import { labelOf } from "../devices/items";
import type { DeviceModel } from "../devices/model";
import { VIEW_ID } from "../devices/view";

/** Left of the helper that is root. */
const PRIORITY = 1;

export function showAttachedStatus(model: DeviceModel): vscode.Disposable {
  const item = vscode.window.createStatusBarItem("diskloom.attached", vscode.StatusBarAlignment.Left, PRIORITY);
  item.name = "Diskloom: Attached Images";
  item.command = `${VIEW_ID}.focus`;
  const listening = model.onDidChange(() => {
    const images = model.devices
      .filter((device) => device.kind === "loop")
      .filter(({ setUpBy }) => setUpBy !== undefined && setUpBy.uid === process.getuid?.());
    void vscode.commands.executeCommand("setContext", "diskloom.attached", images.length > 0);
    if (images.length === 0) {
      item.hide();
      return;
    }
    const count = images.length === 1 ? "1 image" : `${images.length} images`;
    item.text = `$(database) ${count}`;
    item.tooltip = images
      .map((device) => `${basename(device.backingFile)} is attached as ${labelOf(device)}`)
      .join("\n");
    item.accessibilityInformation = {
      label:
        images.length === 1
          ? "Diskloom has 1 image attached. Show the devices."
          : `Diskloom has ${images.length} images attached. Show the devices.`,
    };
    item.show();
  });
  return vscode.Disposable.from(item, listening);
}
