/* Stop Helper and Restart Helper: in the palette, and in the menu of the status bar's item. */
import * as vscode from "vscode";
import { thisMachine } from "../helper/machine";
import type { CommandContext } from "./context";
import { showFailure } from "./run";

export async function helperMenu(context: CommandContext): Promise<void> {
  const info = await context.client.rootInfo().catch(() => undefined);
  const choices = [
    { label: "$(debug-stop) Stop", description: "What needs root asks for it again", run: stopHelper },
    {
      label: "$(debug-restart) Restart",
      description: "With rights asked for anew, where they have to be",
      run: restartHelper,
    },
  ];
  const title = info ? `Diskloom's Helper Runs as Root (Process ${info.pid})` : "Diskloom's Helper";
  const chosen = await vscode.window.showQuickPick(choices, { title, placeHolder: "Stop or restart the helper" });
  await chosen?.run(context);
}

export async function stopHelper(context: CommandContext): Promise<void> {
  if (thisMachine.isRoot()) {
    const message = "This VS Code runs as root, and so does all it starts. The helper ends with the window.";
    void vscode.window.showInformationMessage(message);
    return;
  }
  await ending(context, "Stop", () => context.client.stopRoot());
}

export async function restartHelper(context: CommandContext): Promise<void> {
  await ending(context, "Restart", () => context.client.restartRoot());
}

/** Devices that are to go with their last user would go with the helper, where they have none yet: that is asked about. */
export async function ending(context: CommandContext, deed: string, end: () => Promise<void>): Promise<void> {
  try {
    const { holds = 0 } = (await context.client.rootInfo()) ?? {};
    if (holds > 0) {
      const devices = holds === 1 ? "one device" : `${holds} devices`;
      const message = `The helper keeps ${devices} attached until something uses them. They go if it ends now.`;
      const button = `${deed} Anyway`;
      if ((await vscode.window.showWarningMessage(message, { modal: true }, button)) !== button) {
        return;
      }
    }
    await end();
  } catch (error) {
    showFailure(context, error);
  }
}
