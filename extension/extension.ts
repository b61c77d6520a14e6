/* Puts the parts together, nothing else. */
import * as vscode from "vscode";
import { createApi, createUnsupportedApi } from "./api/api";
import type { DiskloomApi } from "./api/types";
import { registerCommands } from "./commands";
import { registerProperties } from "./commands/properties";
import { registerUnsupported, UNSUPPORTED } from "./commands/unsupported";
import { DeviceModel } from "./devices/model";
import { DevicesView } from "./devices/view";
import { HelperClient } from "./helper/client";
import { registerTasks } from "./tasks/provider";
import { showAttachedStatus } from "./views/attachedStatus";
import { registerDiskMap } from "./views/diskMap";
import { suggestInstallation } from "./views/installation";
import { showRootStatus } from "./views/rootStatus";
import { watchTrust } from "./views/trust";

export function activate(context: vscode.ExtensionContext): DiskloomApi {
  if (process.platform !== "linux") {
    const { commands } = context.extension.packageJSON.contributes as { commands: { command: string }[] };
    context.subscriptions.push(...registerUnsupported(commands.map(({ command }) => command)));
    return createUnsupportedApi(UNSUPPORTED);
  }
  const log = vscode.window.createOutputChannel("Diskloom", { log: true });
  const client = new HelperClient(context.asAbsolutePath("dist/helper.js"), log);
  const model = new DeviceModel(client, log);
  const view = new DevicesView(model);
  const parts = { client, log, model, view, memory: context.workspaceState };
  context.subscriptions.push(
    log,
    client,
    model,
    view,
    showAttachedStatus(model),
    showRootStatus(client),
    suggestInstallation(client, context.globalState),
    watchTrust(),
    ...registerCommands(parts),
    registerDiskMap(parts, context),
    registerProperties(parts),
    registerTasks(parts),
  );
  return createApi(parts);
}
