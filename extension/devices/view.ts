/* The Devices view. */
import * as vscode from "vscode";
import { ImageDrop } from "./drop";
import { DeviceItem, type Item } from "./items";
import type { DeviceModel } from "./model";
import { DeviceTree } from "./tree";

export const VIEW_ID = "diskloom.devices";
const REVEAL_TRIES = 5;

export class DevicesView implements vscode.TreeDataProvider<Item>, vscode.Disposable {
  readonly #changed = new vscode.EventEmitter<Item[] | undefined>();
  readonly onDidChangeTreeData = this.#changed.event;
  readonly #tree: vscode.TreeView<Item>;
  readonly #subscriptions: vscode.Disposable[];
  readonly #devices = new DeviceTree();
  readonly #parents = new WeakMap<Item, Item>();
  #listed = false;
  #failure: string | undefined;
  /** Those that had nothing under them when VS Code saw them first: it leaves them closed when they get something. */
  #bare = new Set<string>();
  /** Items to be opened, by id: they are made anew with each list. */
  readonly #toOpen = new Set<string>();

  constructor(readonly model: DeviceModel) {
    this.#tree = vscode.window.createTreeView<Item>(VIEW_ID, {
      treeDataProvider: this,
      showCollapseAll: true,
      canSelectMany: true,
      dragAndDropController: new ImageDrop(),
    });
    this.#subscriptions = [
      this.#changed,
      this.#tree,
      model.onDidChange(() => this.#rebuild()),
      this.#tree.onDidChangeVisibility(() => this.#openGrown()),
      model.client.onDidRestart(() => {
        this.#tree.message = vscode.l10n.t("The helper ended unexpectedly and was started again. The log may say why.");
      }),
    ];
  }

  getTreeItem(item: Item): vscode.TreeItem {
    return item;
  }

  getParent(item: Item): Item | undefined {
    return this.#parents.get(item);
  }

  async getChildren(item?: Item): Promise<Item[]> {
    if (item) {
      return item.children;
    }
    if (!this.#listed) {
      // The first look at the tree starts the helper: who never looks pays nothing.
      await this.model.refresh();
    }
    return [...this.#devices.items];
  }

  /** Takes back what was said of the helper; the user has gone on since. */
  clearMessage(): void {
    this.#tree.message = "";
  }

  /** The device that is selected, if just one is. */
  get selected(): DeviceItem | undefined {
    const [item, ...others] = this.#tree.selection;
    return item instanceof DeviceItem && others.length === 0 ? item : undefined;
  }

  /** Opens the view and selects a device. */
  async reveal(device: string): Promise<void> {
    for (let tries = 1; tries <= REVEAL_TRIES; tries++) {
      await this.model.refresh();
      const item = this.#allItems().find(
        (candidate) => candidate instanceof DeviceItem && candidate.device.device === device,
      );
      try {
        if (item) {
          await this.#tree.reveal(item, { select: true, focus: true });
        }
        if (!item || this.selected?.device.device === device) {
          return;
        }
      } catch {
        // The tree has changed meanwhile, and the item is none of it any more: its successor is.
      }
    }
  }

  dispose(): void {
    vscode.Disposable.from(...this.#subscriptions).dispose();
  }

  #rebuild(): void {
    this.#listed = true;
    const changed = this.#devices.update(this.model.devices);
    const adopt = (parent: Item) => {
      for (const child of parent.children) {
        this.#parents.set(child, parent);
        adopt(child);
      }
    };
    (changed ?? this.#devices.items).forEach(adopt);
    void vscode.commands.executeCommand("setContext", "diskloom.failed", this.model.failure !== undefined);
    // What there is to say in place of devices is said once it is known that there are none.
    void vscode.commands.executeCommand("setContext", "diskloom.listed", true);
    if (this.model.failure !== undefined) {
      this.#tree.message = this.model.failure;
    } else if (this.#failure !== undefined && this.#tree.message === this.#failure) {
      // Not what has been said since: that another helper has taken the place of the one that failed.
      this.clearMessage();
    }
    this.#failure = this.model.failure;
    this.#noteGrown();
    if (changed?.length !== 0) {
      this.#changed.fire(changed);
    }
    this.#openGrown();
  }

  /** Those at the top first. */
  #allItems(): Item[] {
    const under = (item: Item): Item[] => item.children.flatMap((child) => [child, ...under(child)]);
    return [...this.#devices.items, ...this.#devices.items.flatMap(under)];
  }

  #noteGrown(): void {
    const all = this.#allItems();
    for (const { id = "", children } of all) {
      if (children.length > 0 && this.#bare.has(id)) {
        this.#toOpen.add(id);
      }
    }
    this.#bare = new Set(all.flatMap(({ id = "", children }) => (children.length === 0 ? [id] : [])));
  }

  /** Shows what has come under an item, a mount for example. Not while the view is hidden: it would be brought up. */
  #openGrown(): void {
    if (this.#tree.visible) {
      for (const id of this.#toOpen) {
        this.#toOpen.delete(id);
        void this.#expand(id);
      }
    }
  }

  async #expand(id: string): Promise<void> {
    for (let tries = 1; tries <= REVEAL_TRIES; tries++) {
      const item = this.#allItems().find((candidate) => candidate.id === id);
      if (!item) {
        return;
      }
      if (!this.#tree.visible) {
        this.#toOpen.add(id);
        return;
      }
      try {
        return await this.#tree.reveal(item, { select: false, focus: false, expand: true });
      } catch {
        // The tree has changed meanwhile, and the item is none of it any more: its successor may be.
      }
    }
  }
}
