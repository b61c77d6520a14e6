/* Puts the parts together, nothing else. */
import * as vscode from "vscode";
import { registerCommands } from "./commands";
import { registerUnsupported } from "./commands/unsupported";
import { DeviceModel } from "./devices/model";
import { DevicesView } from "./devices/view";
import { HelperClient } from "./helper/client";
import { registerDiskMap } from "./views/diskMap";
import { suggestInstallation } from "./views/installation";
import { showRootStatus } from "./views/rootStatus";

export function activate(context: vscode.ExtensionContext): void {
  if (process.platform !== "linux") {
    const { commands } = context.extension.packageJSON.contributes as { commands: { command: string }[] };
    context.subscriptions.push(...registerUnsupported(commands.map(({ command }) => command)));
    return;
  }
  const log = vscode.window.createOutputChannel("Diskloom", { log: true });
  const client = new HelperClient(context.asAbsolutePath("dist/helper.js"), log);
  const model = new DeviceModel(client, log);
  const view = new DevicesView(model);
  const parts = { client, log, model, view };
  context.subscriptions.push(
    log,
    client,
    model,
    view,
    showRootStatus(client),
    suggestInstallation(client, context.globalState),
    ...registerCommands(parts),
    registerDiskMap(parts, context),
  );
}
