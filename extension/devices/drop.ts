/* Images dragged from the explorer, or from the desktop, onto the tree are attached. */
import * as vscode from "vscode";
import type { Item } from "./items";

const URI_LIST = "text/uri-list";

export class ImageDrop implements vscode.TreeDragAndDropController<Item> {
  readonly dropMimeTypes = [URI_LIST];
  readonly dragMimeTypes = [];

  async handleDrop(_: Item | undefined, data: vscode.DataTransfer): Promise<void> {
    const text = await data.get(URI_LIST)?.asString();
    // RFC 2483: lines that begin with "#" are comments.
    const uris = (text ?? "").split(/\r?\n/).filter((line) => line !== "" && !line.startsWith("#"));
    const images = uris.map((line) => vscode.Uri.parse(line));
    const [first] = images;
    if (first && vscode.workspace.isTrusted) {
      await vscode.commands.executeCommand("diskloom.attach", first, images);
    }
  }
}
