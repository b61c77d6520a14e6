/* Attach and Mount: from an image to its files in one step, or to nothing changed and the reason why. */
import { basename } from "node:path";
import * as vscode from "vscode";
import type { LoopDevice } from "../../helper/protocol";
import { mountablesOf } from "../devices/items";
import { Failure } from "../helper/failure";
import { attachImages, chooseImages } from "./attach";
import type { CommandContext } from "./context";
import { inPlaceOfFiles, type Mounted, mountAll, tellMounted } from "./mounting";
import { naming } from "./pick";
import { offer, perform, showFailure } from "./run";

export async function attachAndMount(context: CommandContext, clicked?: unknown, selected?: unknown): Promise<void> {
  for (const image of await chooseImages("Attach and Mount", clicked, selected)) {
    await attachAndMountOne(context, image);
  }
}

async function attachAndMountOne(context: CommandContext, image: vscode.Uri): Promise<void> {
  const name = basename(image.fsPath);
  try {
    if (image.scheme !== "file") {
      throw new Failure("invalid", `${name} is not a file on this machine, so it can't be attached.`);
    }
    const { device, shared } = await perform(context, `Attaching ${name}`, "loop/attach", { path: image.fsPath });
    if (shared) {
      throw new Failure("invalid", `${name} is a block device already: mount it as you mount your other disks.`);
    }
    await mountOrDetach(context, image, device);
  } catch (error) {
    const other = error instanceof Failure && error.reason === "overlap" ? error.data.device : undefined;
    showFailure(context, error, other ? [{ title: "Show Device", run: () => context.view.reveal(other) }] : []);
  }
}

async function mountOrDetach(context: CommandContext, image: vscode.Uri, device: LoopDevice): Promise<void> {
  const name = basename(image.fsPath);
  const mountables = mountablesOf(device);
  const result: Mounted = await mountAll(context, mountables);
  if (result.mounts.length > 0) {
    tellMounted(context, name, device.device, result);
    return;
  }
  // Who asked for both isn't served with a half.
  await perform(context, `Detaching ${name}`, "loop/detach", { ...naming(device), whenBusy: "lazy" });
  const attachOnly = { title: "Attach Only", run: () => attachImages(context, [image]) };
  const [failure] = result.failures;
  if (failure) {
    showFailure(context, failure.error, [attachOnly]);
  } else if (mountables.length === 0) {
    const message = `There is nothing to mount on ${name}: ${inPlaceOfFiles(device)}.`;
    offer(vscode.window.showWarningMessage(message, attachOnly.title), [attachOnly]);
  }
}
