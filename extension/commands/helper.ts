/* Stop Helper and Restart Helper: in the palette, and in the menu of the status bar's item. */
import * as vscode from "vscode";
import { thisMachine } from "../helper/machine";
import type { CommandContext } from "./context";
import { showFailure } from "./run";

export async function helperMenu(context: CommandContext): Promise<void> {
  const info = await context.client.rootInfo().catch(() => undefined);
  const choices = [
    {
      label: vscode.l10n.t("$(debug-stop) Stop"),
      description: vscode.l10n.t("What needs root asks for it again"),
      run: stopHelper,
    },
    {
      label: vscode.l10n.t("$(debug-restart) Restart"),
      description: vscode.l10n.t("With rights asked for anew, where they have to be"),
      run: restartHelper,
    },
  ];
  const title = info
    ? vscode.l10n.t("Diskloom's Helper Runs as Root (Process {0})", info.pid)
    : vscode.l10n.t("Diskloom's Helper");
  const chosen = await vscode.window.showQuickPick(choices, {
    title,
    placeHolder: vscode.l10n.t("Stop or restart the helper"),
  });
  await chosen?.run(context);
}

export async function stopHelper(context: CommandContext): Promise<void> {
  if (thisMachine.isRoot()) {
    const message = vscode.l10n.t(
      "This VS Code runs as root, and so does all it starts. The helper ends with the window.",
    );
    void vscode.window.showInformationMessage(message);
    return;
  }
  await ending(context, vscode.l10n.t("Stop Anyway"), () => context.client.stopRoot());
}

export async function restartHelper(context: CommandContext): Promise<void> {
  await ending(context, vscode.l10n.t("Restart Anyway"), () => context.client.restartRoot());
}

/**
 * Devices that are to go with their last user would go with the helper, where they have none yet: that is asked about.
 * @param button what confirms it
 */
export async function ending(context: CommandContext, button: string, end: () => Promise<void>): Promise<void> {
  try {
    const { holds = 0 } = (await context.client.rootInfo()) ?? {};
    if (holds > 0) {
      const message =
        holds === 1
          ? vscode.l10n.t(
              "The helper keeps one device attached until something uses it. It goes if the helper ends now.",
            )
          : vscode.l10n.t(
              "The helper keeps {0} devices attached until something uses them. They go if it ends now.",
              holds,
            );
      if ((await vscode.window.showWarningMessage(message, { modal: true }, button)) !== button) {
        return;
      }
    }
    await end();
  } catch (error) {
    showFailure(context, error);
  }
}
