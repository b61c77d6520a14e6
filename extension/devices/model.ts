/* The devices as the helper last listed them, kept fresh by its word of changes. */
import { isDeepStrictEqual } from "node:util";
import * as vscode from "vscode";
import type { Device } from "../../helper/protocol";
import type { HelperClient } from "../helper/client";

export class DeviceModel implements vscode.Disposable {
  /** One that has not changed stays the same object. */
  devices: readonly Device[] = [];
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
        this.devices = this.#keep((await this.client.request("devices/list", {})).devices);
        this.failure = undefined;
      } catch (error) {
        this.devices = [];
        this.failure = error instanceof Error ? error.message : String(error);
        this.log.error(this.failure);
      }
    } while (this.#again);
    this.#changed.fire();
  }

  #keep(listed: Device[]): Device[] {
    const known = new Map(this.devices.map((device) => [device.device, device]));
    return listed.map((device) => {
      const before = known.get(device.device);
      return before && isDeepStrictEqual(before, device) ? before : device;
    });
  }
}
