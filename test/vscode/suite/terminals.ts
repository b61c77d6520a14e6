/* What tasks write to their terminals, which can't be read from within an extension host. */
import * as vscode from "vscode";

let written = "";

/** To be called before the extension is activated. */
export function takeTerminals(): void {
  const { registerTaskProvider } = vscode.tasks;
  Object.assign(vscode.tasks, {
    registerTaskProvider: (type: string, provider: vscode.TaskProvider) =>
      registerTaskProvider(type, {
        provideTasks: (token) => provider.provideTasks(token),
        resolveTask: async (task, token) => {
          const resolved = await provider.resolveTask(task, token);
          if (resolved?.execution instanceof vscode.CustomExecution) {
            listen(resolved.execution);
          }
          return resolved;
        },
      }),
  });
}

function listen(execution: vscode.CustomExecution): void {
  // VS Code's own way to it; the declarations leave it out.
  const start = Reflect.get(execution, "callback");
  Reflect.set(execution, "callback", async (definition: vscode.TaskDefinition): Promise<vscode.Pseudoterminal> => {
    const terminal: vscode.Pseudoterminal = await start(definition);
    terminal.onDidWrite((text) => {
      written += text;
    });
    return terminal;
  });
}

/** The lines that were written since this was asked for last. */
export function linesWritten(): string[] {
  const lines = written.split("\r\n").slice(0, -1);
  written = "";
  return lines;
}
