/* Tasks of type "diskloom", for tasks.json, and from there for a launch configuration's preLaunchTask and postDebugTask. */
import * as vscode from "vscode";
import type { CommandContext } from "../commands/context";
import { TASK_TYPE } from "./definition";
import { TaskTerminal } from "./terminal";

export function registerTasks(context: CommandContext): vscode.Disposable {
  return vscode.tasks.registerTaskProvider(TASK_TYPE, {
    // Which image is for which task is for the user to say.
    provideTasks: () => [],
    resolveTask: ({ definition, scope = vscode.TaskScope.Workspace, name }) => {
      const folder = typeof scope === "object" ? scope.uri.fsPath : undefined;
      const execution = new vscode.CustomExecution(async (resolved) => new TaskTerminal(context, resolved, folder));
      return new vscode.Task(definition, scope, name, TASK_TYPE, execution);
    },
  });
}
