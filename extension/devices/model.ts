/* The devices as the helper last listed them, kept fresh by its word of changes. */
import * as vscode from "vscode";
import type { Device } from "../../helper/protocol";
import type { HelperClient } from "../helper/client";

export class DeviceModel implements vscode.Disposable {
  devices: readonly Device[] = [];
  /** The nodes of those that the user has attached by Diskloom. */
  own: ReadonlySet<string> = new Set();
  /** Why there is no list, in a sentence. */
  failure: string | undefined;

  readonly #changed = new vscode.EventEmitter<void>();
  readonly onDidChange = this.#changed.event;
  readonly #subscriptions: vscode.Disposable[];
  #listing: Promise<void> | undefined;
  #again = false;

  constructor(
    readonly client: HelperClient,
    readonly log: vscode.LogOutputChannel,
  ) {
    this.#subscriptions = [this.#changed, client.onDidChangeDevices(() => void this.refresh())];
  }

  /** Asks for the list. While one is on its way, one more follows it, however often this is called meanwhile. */
  refresh(): Promise<void> {
    if (this.#listing) {
      this.#again = true;
      return this.#listing;
    }
    this.#listing = this.#list().finally(() => {
      this.#listing = undefined;
    });
    return this.#listing;
  }

  dispose(): void {
    vscode.Disposable.from(...this.#subscriptions).dispose();
  }

  async #list(): Promise<void> {
    do {
      this.#again = false;
      try {
        const { devices, own } = await this.client.request("devices/list", {});
        this.devices = devices;
        this.own = new Set(own);
        this.failure = undefined;
      } catch (error) {
        this.devices = [];
        this.failure = error instanceof Error ? error.message : String(error);
        this.log.error(this.failure);
      }
    } while (this.#again);
    this.#changed.fire();
  }
}
