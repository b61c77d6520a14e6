import type * as vscode from "vscode";
import type { DeviceModel } from "../devices/model";
import type { DevicesView } from "../devices/view";
import type { HelperClient } from "../helper/client";

/** What every command works with. */
export interface CommandContext {
  client: HelperClient;
  log: vscode.LogOutputChannel;
  model: DeviceModel;
  view: DevicesView;
  /** What is remembered for this workspace. */
  memory: vscode.Memento;
}
