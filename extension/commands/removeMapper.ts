/* Remove: a mapper device goes, what it stands on stays. */
import * as vscode from "vscode";
import type { MapperDevice } from "../../helper/protocol";
import { Failure } from "../helper/failure";
import type { CommandContext } from "./context";
import { confirmingForeign } from "./foreign";
import { naming, pickMapper } from "./pick";
import { type NextStep, perform, showFailure } from "./run";

type WhenBusy = "refuse" | "unmount" | "deferred";

export async function removeMapper(context: CommandContext, item?: unknown): Promise<void> {
  const device = await pickMapper(context, "Remove Device-Mapper Device", item);
  if (device) {
    await removeDevice(context, device, "refuse");
  }
}

async function removeDevice(context: CommandContext, device: MapperDevice, whenBusy: WhenBusy): Promise<void> {
  try {
    const outcome = await confirmingForeign("Remove", device.device, (confirmed) =>
      perform(context, `Removing ${device.name}`, "mapper/remove", { ...naming(device), whenBusy, ...confirmed }),
    );
    if (outcome?.state === "pending") {
      void vscode.window.showInformationMessage(`${device.name} will be removed as soon as nobody uses it any more.`);
    } else if (outcome) {
      vscode.window.setStatusBarMessage(`$(check) ${device.name} removed`, 5000);
    }
  } catch (error) {
    showFailure(context, error, waysOn(context, device, error));
  }
}

function waysOn(context: CommandContext, device: MapperDevice, error: unknown): NextStep[] {
  if (!(error instanceof Failure) || error.reason !== "busy") {
    return [];
  }
  const again = (whenBusy: WhenBusy) => () => removeDevice(context, device, whenBusy);
  const mounted = error.data.users?.some(({ kind }) => kind === "mount");
  return [
    ...(mounted ? [{ title: "Unmount and Remove", run: again("unmount") }] : []),
    { title: "Remove When Free", run: again("deferred") },
  ];
}
