/*
 * A window of VS Code whose user is a script: for commands where there can be no real VS Code, as in the guest. It has
 * just what the commands for mapper devices ask for.
 */
import { readFile } from "node:fs/promises";
import { Module } from "node:module";
import { translator } from "../../extension/views/translator";

/** What the script answers to a question, by the words in it; a function gets the items to choose from. */
export type Answer = string | ((items: readonly { label: string; description?: string }[]) => unknown);

export class ScriptedWindow {
  readonly answers: Answer[] = [];
  readonly messages: string[] = [];
  clipboard = "";
  document = "";

  /** Has it found by whoever asks for "vscode" from now on. */
  install(): void {
    const loader = Module as unknown as { _load(request: string, ...rest: unknown[]): unknown };
    const load = loader._load.bind(Module);
    loader._load = (request, ...rest) => (request === "vscode" ? this.#api() : load(request, ...rest));
  }

  #answer(items: readonly { label: string }[] = []): unknown {
    const answer = this.answers.shift();
    if (answer === undefined) {
      throw new Error("A question that the script has no answer to");
    }
    return typeof answer === "function" ? answer(items) : answer;
  }

  #api(): unknown {
    const say = async (message: string, ...more: unknown[]) => {
      this.messages.push(message);
      const options = more[0];
      return typeof options === "object" ? this.#answer() : undefined;
    };
    class EventEmitter {
      event = () => ({ dispose() {} });
      fire() {}
      dispose() {}
    }
    class TreeItem {
      constructor(readonly label: string) {}
    }
    class Text {
      appendMarkdown() {
        return this;
      }
    }
    return {
      EventEmitter,
      CancellationTokenSource: class {
        token = undefined;
        dispose() {}
      },
      TreeItem,
      TreeItemCollapsibleState: { None: 0, Collapsed: 1, Expanded: 2 },
      ThemeIcon: class {},
      ThemeColor: class {},
      MarkdownString: Text,
      ProgressLocation: { Notification: 15 },
      l10n: { t: translator({}) },
      env: {
        language: "en",
        clipboard: {
          writeText: async (text: string) => {
            this.clipboard = text;
          },
        },
      },
      window: {
        showQuickPick: async (items: readonly { label: string }[]) => this.#answer(items),
        showInputBox: async () => this.#answer(),
        showOpenDialog: async () => this.#answer(),
        showInformationMessage: say,
        showWarningMessage: say,
        showErrorMessage: say,
        setStatusBarMessage: (message: string) => void this.messages.push(message),
        showTextDocument: async () => {},
        withProgress: (_: unknown, run: (progress: unknown, token: unknown) => unknown) =>
          run({ report() {} }, { onCancellationRequested() {} }),
      },
      workspace: {
        fs: { readFile: (path: string) => readFile(path) },
        openTextDocument: async ({ content }: { content: string }) => {
          this.document = content;
        },
      },
    };
  }
}
