/* Attach as Loop Device: in the explorer's context menu for one or several files, in the palette with a file picker. */
import { basename } from "node:path";
import * as vscode from "vscode";
import { faultsOf } from "../devices/faults";
import { labelOf } from "../devices/items";
import { Failure } from "../helper/failure";
import type { CommandContext } from "./context";
import { offer, perform, showFailure } from "./run";

export async function attach(context: CommandContext, clicked?: unknown, selected?: unknown): Promise<void> {
  await attachImages(context, await chooseImages("Attach as Loop Device", clicked, selected));
}

/** Attaches images, one after the other, and tells of each. */
export async function attachImages(context: CommandContext, images: readonly vscode.Uri[]): Promise<void> {
  for (const image of images) {
    await attachOne(context, image);
  }
}

/**
 * The images that a command is for: those it was called on in the explorer, else those that are picked.
 * @param title what is going to be done, as the file picker's title
 */
export async function chooseImages(title: string, clicked?: unknown, selected?: unknown): Promise<vscode.Uri[]> {
  const files = (Array.isArray(selected) ? selected : [clicked]).filter((item) => item instanceof vscode.Uri);
  return files.length > 0 ? files : await pickImages(title);
}

async function pickImages(title: string): Promise<vscode.Uri[]> {
  const picked = await vscode.window.showOpenDialog({
    title,
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
      offer(vscode.window.showInformationMessage(message, show.title), [show]);
    } else {
      const access = device.readOnly ? " (read-only)" : "";
      const tail =
        unreachableTail > 0 ? `, but its last ${unreachableTail} bytes fill no sector and can't be reached` : "";
      const faults = faultsOf(device);
      const message = [`${name} is attached as ${labelOf(device)}${access}${tail}.`, ...faults].join(" ");
      offer(
        tail || faults.length > 0
          ? vscode.window.showWarningMessage(message, show.title)
          : vscode.window.showInformationMessage(message, show.title),
        [show],
      );
    }
  } catch (error) {
    const other = error instanceof Failure && error.reason === "overlap" ? error.data.device : undefined;
    const show = other ? [{ title: "Show Device", run: () => context.view.reveal(other) }] : [];
    showFailure(context, error, show);
  }
}
