/* What the disk map offers to do: the commands that there are, for whoever may run them. */
import * as vscode from "vscode";
import type { Device } from "../../helper/protocol";
import { DeviceItem, mountablesOf, PartitionItem } from "../devices/items";
import type { ActionsOf } from "./layout";
import type { Action, Deed, Target } from "./messages";

const commands = {
  attach: { id: "diskloom.attach", title: vscode.l10n.t("Attach as Loop Device") },
  attachAndMount: { id: "diskloom.attachAndMount", title: vscode.l10n.t("Attach and Mount") },
  detach: { id: "diskloom.detach", title: vscode.l10n.t("Detach") },
  unmountAndDetach: { id: "diskloom.unmountAndDetach", title: vscode.l10n.t("Unmount and Detach") },
  flush: { id: "diskloom.flush", title: vscode.l10n.t("Flush") },
  mount: { id: "diskloom.mount", title: vscode.l10n.t("Mount") },
  unmount: { id: "diskloom.unmount", title: vscode.l10n.t("Unmount") },
  rescan: { id: "diskloom.rescan", title: vscode.l10n.t("Rescan Partitions") },
} satisfies Partial<Record<Deed, { id: string; title: string }>>;
export type CommandDeed = keyof typeof commands;

export function isCommand(deed: Deed): deed is CommandDeed {
  return deed in commands;
}

export class Deeds {
  readonly #contributed: ReadonlySet<string>;

  constructor(extension: vscode.Extension<unknown>) {
    const manifest: { contributes?: { commands?: { command: string }[] } } = extension.packageJSON;
    this.#contributed = new Set(manifest.contributes?.commands?.map(({ command }) => command));
  }

  /** Those of these that can be offered: commands are run by id, which asks for no trust. */
  offered(...deeds: CommandDeed[]): Action[] {
    return deeds
      .filter((deed) => vscode.workspace.isTrusted && this.#contributed.has(commands[deed].id))
      .map((deed) => ({ deed, title: commands[deed].title }));
  }

  /** What can be done with a part of one of these devices. */
  actionsOf(devices: readonly Device[]): ActionsOf {
    const mountable = new Set(devices.flatMap(mountablesOf).map(({ device }) => device));
    return ({ device, mounts }) =>
      mounts.length > 0 ? this.offered("unmount") : mountable.has(device) ? this.offered("mount") : [];
  }

  /** Runs a command as the tree does: on an item of it. */
  async run(deed: CommandDeed, item: unknown): Promise<void> {
    if (this.offered(deed).length > 0) {
      await vscode.commands.executeCommand(commands[deed].id, item);
    }
  }
}

/** The tree's item for a node: of a device, or of a partition on one of them. */
export function itemFor(node: string, devices: readonly Device[]): DeviceItem | PartitionItem | undefined {
  for (const device of devices) {
    if (device.device === node) {
      return new DeviceItem(device, []);
    }
    const partition = device.partitions.find((candidate) => candidate.device === node);
    if (partition) {
      return new PartitionItem(partition, [], `${device.device}#${device.diskSequence}`, device);
    }
  }
  return undefined;
}

export function deviceTarget(device: Device): Target & { kind: "device" } {
  const image = device.kind === "loop" && !device.backingFileDeleted ? device.backingFile : "";
  return { kind: "device", device: device.device, diskSequence: device.diskSequence, image };
}
