/*
 * In the place of the person: what the extension says is kept here, and answered from here. Toasts and trees can't be
 * read from within an extension host, so the functions that make them are wrapped before the extension is activated.
 */
import * as vscode from "vscode";
import type { DeviceItem, Item } from "../../../extension/devices/items";
import { until } from "../until";

export interface Message {
  kind: "information" | "warning" | "error";
  text: string;
  buttons: string[];
}

let messages: Message[] = [];
/** What has been written to the status bar for a moment. */
let statuses: string[] = [];
/** The description of what is picked of each list. */
let pick: string | undefined;
/** Buttons that are pressed as soon as a message has them. */
let presses: string[] = [];
let view: { tree: vscode.TreeView<Item>; provider: vscode.TreeDataProvider<Item> } | undefined;

export function takeWindow(): void {
  const { createTreeView } = vscode.window;
  Object.assign(vscode.window, {
    showInformationMessage: listener("information"),
    showWarningMessage: listener("warning"),
    showErrorMessage: listener("error"),
    showQuickPick: async (items: readonly vscode.QuickPickItem[]) =>
      items.find(({ description }) => description === pick),
    setStatusBarMessage: (text: string) => {
      statuses.push(text);
      return new vscode.Disposable(() => {});
    },
    createTreeView: (id: string, options: vscode.TreeViewOptions<Item>) => {
      const tree = createTreeView(id, options);
      if (id === "diskloom.devices") {
        view = { tree, provider: options.treeDataProvider };
      }
      return tree;
    },
  });
}

function listener(kind: Message["kind"]): (text: string, ...rest: unknown[]) => Promise<string | undefined> {
  return async (text, ...rest) => {
    const message = { kind, text, buttons: rest.filter((item) => typeof item === "string") };
    messages.push(message);
    const pressed = presses.find((button) => message.buttons.includes(button));
    presses = presses.filter((button) => button !== pressed);
    return pressed;
  };
}

/** Forgets what was said, and which buttons were to be pressed. */
export function forgetMessages(): void {
  messages = [];
  statuses = [];
  presses = [];
  pick = undefined;
}

/** Presses this button of the next message that has it. */
export function willPress(button: string): void {
  presses.push(button);
}

/** Picks what has this description of every list from now on. */
export function willPick(description: string): void {
  pick = description;
}

export function messageLike(text: RegExp): Promise<Message> {
  return until(`a message like ${text}; said was: ${JSON.stringify(messages)}`, () =>
    messages.find((message) => text.test(message.text)),
  );
}

export function statusLike(text: RegExp): Promise<string> {
  return until(`a status like ${text}`, () => statuses.find((status) => text.test(status)));
}

export function allMessages(): readonly Message[] {
  return messages;
}

/** What stands above the tree. */
export function treeMessage(): string {
  return view?.tree.message ?? "";
}

/** So that the next word can be told from this one. */
export function clearTreeMessage(): void {
  if (view) {
    view.tree.message = "";
  }
}

/** The devices at the top of the tree. */
export async function devicesInTree(): Promise<DeviceItem[]> {
  if (!view) {
    throw new Error("The extension has made no tree.");
  }
  return ((await view.provider.getChildren()) ?? []) as DeviceItem[];
}

/** The tree's item of an image's device, once it shows it. */
export function itemOf(image: string): Promise<DeviceItem> {
  return until(`${image} in the tree`, async () =>
    (await devicesInTree()).find(({ device }) => device.kind === "loop" && device.backingFile === image),
  );
}

/** Waits until the tree shows nothing of an image any more. */
export async function untilGone(image: string): Promise<void> {
  await until(`the end of ${image} in the tree`, async () =>
    (await devicesInTree()).every(({ device }) => device.kind !== "loop" || device.backingFile !== image),
  );
}
