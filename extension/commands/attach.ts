/* Attach as Loop Device: in the explorer's context menu for one or several files, in the palette with a file picker. */
import { basename } from "node:path";
import * as vscode from "vscode";
import { labelOf } from "../devices/items";
import { Failure } from "../helper/failure";
import type { CommandContext } from "./context";
import { offer, perform, showFailure } from "./run";

export async function attach(context: CommandContext, clicked?: unknown, selected?: unknown): Promise<void> {
  const files = (Array.isArray(selected) ? selected : [clicked]).filter((item) => item instanceof vscode.Uri);
  const images = files.length > 0 ? files : await pickImages();
  for (const image of images) {
    await attachOne(context, image);
  }
}

async function pickImages(): Promise<vscode.Uri[]> {
  const picked = await vscode.window.showOpenDialog({
    title: "Attach as Loop Device",
    openLabel: "Attach",
    canSelectMany: true,
    filters: { "Disk images": ["img", "iso", "raw", "squashfs", "erofs", "ext4", "bin"], "All files": ["*"] },
  });
  return picked ?? [];
}

async function attachOne(context: CommandContext, image: vscode.Uri): Promise<void> {
  const name = basename(image.fsPath);
  try {
    if (image.scheme !== "file") {
      throw new Failure("invalid", `${name} is not a file on this machine, so it can't be attached.`);
    }
    const { device, shared, unreachableTail } = await perform(context, `Attaching ${name}`, "loop/attach", {
      path: image.fsPath,
    });
    const show = { title: "Show Device", run: () => context.view.reveal(device.device) };
    if (shared) {
      const message = `${name} is a block device already, so it is used as it is.`;
      await offer(vscode.window.showInformationMessage(message, show.title), [show]);
    } else if (unreachableTail > 0) {
      const message = `${name} is attached as ${labelOf(device)}, but its last ${unreachableTail} bytes fill no sector and can't be reached.`;
      await offer(vscode.window.showWarningMessage(message, show.title), [show]);
    } else {
      const access = device.readOnly ? " (read-only)" : "";
      const message = `${name} is attached as ${labelOf(device)}${access}.`;
      await offer(vscode.window.showInformationMessage(message, show.title), [show]);
    }
  } catch (error) {
    const other = error instanceof Failure && error.reason === "overlap" ? error.data.device : undefined;
    const show = other ? [{ title: "Show Device", run: () => context.view.reveal(other) }] : [];
    await showFailure(context, error, show);
  }
}
