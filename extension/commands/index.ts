/* All commands, by the ids that package.json gives them. */
import * as vscode from "vscode";
import { attach } from "./attach";
import type { CommandContext } from "./context";
import { detach } from "./detach";
import { flush } from "./flush";
import { refresh } from "./refresh";

export function registerCommands(context: CommandContext): vscode.Disposable[] {
  const commands = {
    "diskloom.attach": attach,
    "diskloom.detach": detach,
    "diskloom.flush": flush,
    "diskloom.refresh": refresh,
    "diskloom.showLog": ({ log }: CommandContext) => log.show(),
  };
  return Object.entries(commands).map(([id, run]) =>
    vscode.commands.registerCommand(id, (...args: [never, never]) => run(context, ...args)),
  );
}
