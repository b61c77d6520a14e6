/* What somebody sees whose VS Code isn't on Linux: the extension is activated once more, as if it were elsewhere. */
import assert from "node:assert/strict";
import * as vscode from "vscode";
import { activate } from "../../../extension/extension";
import { until } from "../until";
import { allMessages, forgetMessages, messageLike, willPress } from "./window";

const COMMAND = "diskloom.test.elsewhere";
const SENTENCE = /^Loop devices are a part of Linux\. Open a folder on a Linux machine/;

describe("Where there is no Linux", () => {
  const { executeCommand } = vscode.commands;
  const { getExtension } = vscode.extensions;
  const { registerCustomEditorProvider } = vscode.window;
  let subscriptions: vscode.Disposable[] = [];
  let executed: string[] = [];
  let installed: string[] = [];
  let exported: ReturnType<typeof activate>;

  before(() => {
    Object.assign(vscode.commands, {
      executeCommand: async (id: string, ...args: unknown[]) => {
        executed.push(id);
        return id === COMMAND ? executeCommand(id, ...args) : undefined;
      },
    });
    Object.assign(vscode.extensions, { getExtension: (id: string) => (installed.includes(id) ? {} : undefined) });
    // What stands for the editor of images: the real one has its place already.
    Object.assign(vscode.window, { registerCustomEditorProvider: () => new vscode.Disposable(() => {}) });
    const packageJSON = { contributes: { commands: [{ command: COMMAND }] } };
    const platform = Object.getOwnPropertyDescriptor(process, "platform");
    Object.defineProperty(process, "platform", { ...platform, value: "darwin" });
    try {
      exported = activate({ subscriptions, extension: { packageJSON } } as unknown as vscode.ExtensionContext);
    } finally {
      Object.defineProperty(process, "platform", platform ?? {});
    }
  });
  beforeEach(() => {
    forgetMessages();
    executed = [];
  });
  after(() => {
    Object.assign(vscode.commands, { executeCommand });
    Object.assign(vscode.extensions, { getExtension });
    Object.assign(vscode.window, { registerCustomEditorProvider });
    vscode.Disposable.from(...subscriptions).dispose();
    subscriptions = [];
  });

  for (const [what, ids, button, command] of [
    ["Remote-SSH", ["ms-vscode-remote.remote-ssh"], "Connect to Host...", "opensshremotes.openEmptyWindow"],
    ["WSL", ["ms-vscode-remote.remote-wsl"], "Reopen in WSL", "remote-wsl.reopenInWSL"],
    [
      "Dev Containers",
      ["ms-vscode-remote.remote-containers"],
      "Reopen in Container",
      "remote-containers.reopenInContainer",
    ],
    ["none of them", [], "Open a Remote Window...", "workbench.action.remote.showMenu"],
  ] as const) {
    it(`a command says so and, with ${what}, opens a window where there is`, async () => {
      installed = [...ids];
      willPress(button);
      await vscode.commands.executeCommand(COMMAND);
      const { kind, buttons } = await messageLike(SENTENCE);
      assert.equal(kind, "error");
      assert.deepEqual(buttons, [button]);
      assert.equal(allMessages().length, 1);
      await until("the window", () => executed.length > 1);
      assert.deepEqual(executed, [COMMAND, command]);
    });
  }

  it("other extensions get an error with a code", async () => {
    await assert.rejects(exported.attach("/disk.img"), { code: "unsupported", message: SENTENCE });
    await assert.rejects(exported.detach("/dev/loop0"), { code: "unsupported" });
    await assert.rejects(exported.list(), { code: "unsupported" });
    exported.onDidChangeDevices(() => {}).dispose();
  });
});
