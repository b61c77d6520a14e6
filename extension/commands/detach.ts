/* Detach: from the tree, or from the palette with a pick of devices. */
import { basename } from "node:path";
import * as vscode from "vscode";
import type { LoopDevice, Params } from "../../helper/protocol";
import { labelOf } from "../devices/items";
import { Failure } from "../helper/failure";
import type { CommandContext } from "./context";
import { naming, pickLoop } from "./pick";
import { type NextStep, perform, showFailure } from "./run";

type Options = Pick<Params<"loop/detach">, "whenBusy" | "confirmForeign">;

export async function detach(context: CommandContext, item?: unknown): Promise<void> {
  const device = await pickLoop(context, "Detach Loop Device", item);
  if (device) {
    await detachDevice(context, device, {});
  }
}

async function detachDevice(context: CommandContext, device: LoopDevice, options: Options): Promise<void> {
  const name = labelOf(device);
  try {
    const { state } = await perform(context, `Detaching ${name}`, "loop/detach", { ...naming(device), ...options });
    if (state === "pending") {
      void vscode.window.showInformationMessage(`${name} will be detached as soon as nobody uses it any more.`);
    } else {
      vscode.window.setStatusBarMessage(`$(check) ${name} (${basename(device.backingFile)}) detached`, 5000);
    }
  } catch (error) {
    if (error instanceof Failure && error.data.foreign) {
      await confirmForeign(context, device, options, error);
    } else {
      await showFailure(context, error, waysOn(context, device, options, error));
    }
  }
}

async function confirmForeign(
  context: CommandContext,
  device: LoopDevice,
  options: Options,
  { message }: Failure,
): Promise<void> {
  const detach = "Detach Anyway";
  const detail = `${message}\n\nImage: ${device.backingFile}`;
  const chosen = await vscode.window.showWarningMessage(`Detach ${labelOf(device)}?`, { modal: true, detail }, detach);
  if (chosen === detach) {
    await detachDevice(context, device, { ...options, confirmForeign: true });
  }
}

function waysOn(context: CommandContext, device: LoopDevice, options: Options, error: unknown): NextStep[] {
  if (!(error instanceof Failure) || error.reason !== "busy") {
    return [];
  }
  const again = (whenBusy: "unmount" | "lazy") => () => detachDevice(context, device, { ...options, whenBusy });
  const mounted = error.data.users?.some(({ kind }) => kind === "mount");
  return [
    ...(mounted ? [{ title: "Unmount and Detach", run: again("unmount") }] : []),
    { title: "Detach When Free", run: again("lazy") },
  ];
}
