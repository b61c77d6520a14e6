import * as vscode from "vscode";
import { VIEW_ID } from "../devices/view";
import type { CommandContext } from "./context";

export async function refresh({ client, model, view }: CommandContext): Promise<void> {
  client.tryAgain();
  view.clearMessage();
  await vscode.window.withProgress({ location: { viewId: VIEW_ID } }, () => model.refresh());
}
