/* Detach: from the tree, or from the palette with a pick of devices. */
import { basename } from "node:path";
import * as vscode from "vscode";
import type { LoopDevice } from "../../helper/protocol";
import { labelOf } from "../devices/items";
import { Failure } from "../helper/failure";
import type { CommandContext } from "./context";
import { confirmingForeign } from "./foreign";
import { naming, pickLoop } from "./pick";
import { type NextStep, perform, showFailure } from "./run";

type WhenBusy = "refuse" | "unmount" | "lazy";

export async function detach(context: CommandContext, item?: unknown): Promise<void> {
  const device = await pickLoop(context, "Detach Loop Device", item);
  if (device) {
    await detachDevice(context, device, "refuse");
  }
}

/** Detaches a device; where it is busy, the ways on are offered. */
export async function detachDevice(context: CommandContext, device: LoopDevice, whenBusy: WhenBusy): Promise<void> {
  const name = labelOf(device);
  try {
    const outcome = await confirmingForeign("Detach", `Image: ${device.backingFile}`, (confirmed) =>
      perform(context, `Detaching ${name}`, "loop/detach", { ...naming(device), whenBusy, ...confirmed }),
    );
    if (outcome?.state === "pending") {
      void vscode.window.showInformationMessage(`${name} will be detached as soon as nobody uses it any more.`);
    } else if (outcome) {
      vscode.window.setStatusBarMessage(`$(check) ${name} (${basename(device.backingFile)}) detached`, 5000);
    }
  } catch (error) {
    showFailure(context, error, waysOn(context, device, error));
  }
}

function waysOn(context: CommandContext, device: LoopDevice, error: unknown): NextStep[] {
  if (!(error instanceof Failure) || error.reason !== "busy") {
    return [];
  }
  const again = (whenBusy: WhenBusy) => () => detachDevice(context, device, whenBusy);
  const mounted = error.data.users?.some(({ kind }) => kind === "mount");
  return [
    ...(mounted ? [{ title: "Unmount and Detach", run: again("unmount") }] : []),
    { title: "Detach When Free", run: again("lazy") },
  ];
}
