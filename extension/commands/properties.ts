/*
 * Properties: all that is known of a device, a partition or a mount, as a text to read, search and copy from. It is
 * read-only, and follows the device as long as it is open.
 */
import { basename } from "node:path";
import * as vscode from "vscode";
import { DeviceItem, type Item, isItem, MountItem, PartitionItem, pathOf } from "../devices/items";
import type { DeviceModel } from "../devices/model";
import { deviceProperties, mountProperties, partitionProperties } from "../devices/propertiesText";
import { buildTree } from "../devices/tree";
import type { CommandContext } from "./context";
import { showFailure } from "./run";

const SCHEME = "diskloom-properties";

export async function properties(context: CommandContext, clicked?: unknown): Promise<void> {
  const item = isItem(clicked) ? clicked : await pickItem(context.model);
  if (!item) {
    return;
  }
  try {
    const path = `/${basename(pathOf(item))} – ${vscode.l10n.t("Properties")}`;
    const uri = vscode.Uri.from({ scheme: SCHEME, path, query: item.id ?? "" });
    await vscode.window.showTextDocument(await vscode.workspace.openTextDocument(uri), { preview: true });
  } catch (error) {
    showFailure(context, error);
  }
}

/** Serves the texts, and serves them anew when devices change. */
export function registerProperties({ model }: CommandContext): vscode.Disposable {
  const changed = new vscode.EventEmitter<vscode.Uri>();
  return vscode.Disposable.from(
    changed,
    model.onDidChange(() => {
      for (const { uri } of vscode.workspace.textDocuments.filter((document) => document.uri.scheme === SCHEME)) {
        changed.fire(uri);
      }
    }),
    vscode.workspace.registerTextDocumentContentProvider(SCHEME, {
      onDidChange: changed.event,
      provideTextDocumentContent: ({ path, query }) =>
        textOf(
          path,
          itemsOf(model).find(({ id }) => id === query),
        ),
    }),
  );
}

function textOf(path: string, item: Item | undefined): string {
  if (item instanceof DeviceItem) {
    return deviceProperties(item.device);
  }
  if (item instanceof PartitionItem) {
    return partitionProperties(item.partition);
  }
  const name = path.slice(1).replace(/ – [^–]*$/, "");
  return item ? mountProperties(item.mount) : `${vscode.l10n.t("{0} isn't there any more.", name)}\n`;
}

async function pickItem(model: DeviceModel): Promise<Item | undefined> {
  await model.refresh();
  const choices = itemsOf(model).map((item) => ({
    item,
    label: item instanceof MountItem ? item.mount.target : basename(pathOf(item)),
    description: String(item.description),
  }));
  if (choices.length === 0) {
    void vscode.window.showInformationMessage(vscode.l10n.t("There is no device."));
    return undefined;
  }
  const options = {
    title: vscode.l10n.t("Properties"),
    placeHolder: vscode.l10n.t("Choose a device, partition or mount"),
    matchOnDescription: true,
  };
  return (await vscode.window.showQuickPick(choices, options))?.item;
}

/** All items of the tree, each before those under it. */
function itemsOf({ devices }: DeviceModel): Item[] {
  const withChildren = (item: Item): Item[] => [item, ...item.children.flatMap(withChildren)];
  return buildTree(devices).flatMap(withChildren);
}
