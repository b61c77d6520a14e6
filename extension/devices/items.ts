/* What the tree shows: devices, their partitions, and where they are mounted. */
import { basename } from "node:path";
import * as vscode from "vscode";
import type { Content, Device, LoopDevice, MapperDevice, Mount, Partition } from "../../helper/protocol";
import { faultInShort } from "./faults";
import { formatSize } from "./format";
import { deviceTooltip, mountTooltip, partitionTooltip } from "./tooltip";

/** A node of the tree. `id` tells it from all others, and stays while the thing it shows stays. */
export type Item = DeviceItem | PartitionItem | MountItem;

export class DeviceItem extends vscode.TreeItem {
  constructor(
    readonly device: Device,
    readonly children: Item[],
    parentId = "",
  ) {
    super(labelOf(device), collapsible(children));
    this.id = `${parentId}${device.device}#${device.diskSequence}`;
    this.description = device.kind === "loop" ? describeLoop(device) : describeMapper(device);
    this.tooltip = deviceTooltip(device);
    this.iconPath = new vscode.ThemeIcon(iconOf(device), faultInShort(device) ? warningColor : undefined);
    this.contextValue = contextOf(device);
    this.accessibilityInformation = { label: `${labelOf(device)}, ${this.description}` };
  }
}

export class PartitionItem extends vscode.TreeItem {
  constructor(
    readonly partition: Partition,
    readonly children: Item[],
    parentId: string,
    /** The device that it is a part of. */
    readonly disk?: Device,
  ) {
    super(basename(partition.device), collapsible(children));
    this.id = `${parentId}/${partition.device}@${partition.start}`;
    const fault = faultInShort(partition);
    this.description = [partition.name, contentLabel(partition.content), formatSize(partition.size), fault]
      .filter(Boolean)
      .join(" · ");
    this.tooltip = partitionTooltip(partition);
    this.iconPath = new vscode.ThemeIcon(
      "symbol-field",
      fault ? warningColor : new vscode.ThemeColor("icon.foreground"),
    );
    this.contextValue = words(
      "partition",
      !disk?.mounts.length && isMountable(partition) && "mountable",
      partition.mounts.length > 0 && "mounted",
    );
    this.accessibilityInformation = { label: vscode.l10n.t("Partition {0}, {1}", partition.number, this.description) };
  }
}

export class MountItem extends vscode.TreeItem {
  readonly children: Item[] = [];

  constructor(
    readonly mount: Mount,
    parentId: string,
  ) {
    super(mount.target, vscode.TreeItemCollapsibleState.None);
    this.id = `${parentId}/mount:${mount.target}`;
    this.description = [mount.fileSystem, mount.readOnly && vscode.l10n.t("read-only"), spaceOf(mount)]
      .filter(Boolean)
      .join(" · ");
    this.tooltip = mountTooltip(mount);
    this.iconPath = new vscode.ThemeIcon("folder-opened");
    this.contextValue = "mount mounted";
    this.accessibilityInformation = { label: vscode.l10n.t("Mounted at {0}, {1}", mount.target, this.description) };
  }
}

const warningColor = new vscode.ThemeColor("list.warningForeground");

/** The node of a device or partition, or the folder that something is mounted at. */
export function pathOf(item: Item): string {
  if (item instanceof MountItem) {
    return item.mount.target;
  }
  return item instanceof PartitionItem ? item.partition.device : item.device.device;
}

export function isItem(clicked: unknown): clicked is Item {
  return clicked instanceof DeviceItem || clicked instanceof PartitionItem || clicked instanceof MountItem;
}

function collapsible(children: Item[]): vscode.TreeItemCollapsibleState {
  return children.length > 0 ? vscode.TreeItemCollapsibleState.Expanded : vscode.TreeItemCollapsibleState.None;
}

/** As people call a device: "loop3", "data". */
export function labelOf(device: Device): string {
  return device.kind === "loop" ? basename(device.device) : device.name;
}

function describeLoop(device: LoopDevice): string {
  const name = basename(device.backingFile);
  const image = device.backingFileDeleted ? vscode.l10n.t("{0} (deleted)", name) : name;
  return [
    image,
    formatSize(device.size),
    device.readOnly && vscode.l10n.t("read-only"),
    contentLabel(device.content),
    faultInShort(device),
    device.autoclear && vscode.l10n.t("detached with its last user"),
  ]
    .filter(Boolean)
    .join(" · ");
}

function describeMapper(device: MapperDevice): string {
  const types = [...new Set(device.table.map(({ type }) => type))].join(", ");
  const states = [
    device.readOnly && vscode.l10n.t("read-only"),
    device.suspended && vscode.l10n.t("suspended"),
    faultInShort(device),
  ];
  return [types, formatSize(device.size), ...states].filter(Boolean).join(" · ");
}

/** What is on a device, in a word or two. */
export function contentLabel(content: Content): string {
  if (content.kind === "partitionTable") {
    return content.type === "dos" ? "MBR" : content.type.toUpperCase();
  }
  return [content.type, content.label && vscode.l10n.t("“{0}”", content.label)].filter(Boolean).join(" ");
}

/** What is known to keep a device or its partitions: nothing, nothing but mounts, or others that stand on it. */
export type Use = "free" | "mounted" | "held";

export function useOf(device: Device): Use {
  const all = [device, ...device.partitions];
  if (all.some(({ holders }) => holders.length > 0)) {
    return "held";
  }
  return all.some(({ mounts }) => mounts.length > 0) ? "mounted" : "free";
}

/**
 * What the menus in package.json look for, as words. Of a device's use: "free" where nothing is known to use it, so
 * that it can go; "releasable" where all that uses it can be unmounted; "later" where it can go with its last user, and
 * "leaving" where it will.
 */
function contextOf(device: Device): string {
  const use = useOf(device);
  const mounted = [device, ...device.partitions].some(({ mounts }) => mounts.length > 0);
  const common = [mountablesOf(device).length > 0 && "mountable", mounted && "mounted", use === "free" && "free"];
  return device.kind === "loop"
    ? words(
        "loop",
        !device.backingFileDeleted && "image",
        ...common,
        use === "mounted" && "releasable",
        device.autoclear ? "leaving" : use !== "free" && "later",
      )
    : words(
        "mapper",
        device.suspended ? "suspended" : "active",
        device.uuid && "uuid",
        ...common,
        // Unmounting writes, and a suspended device holds that back.
        use === "mounted" && !device.suspended && "releasable",
        use !== "free" && "later",
      );
}

function words(...all: (string | false)[]): string {
  return all.filter(Boolean).join(" ");
}

// A file system that is mounted or stood on already is left to whoever did that.
function isMountable({ content, mounts, holders }: Pick<Partition, "content" | "mounts" | "holders">): boolean {
  return content.kind === "filesystem" && mounts.length === 0 && holders.length === 0;
}

/**
 * What can be mounted of a device: the file system on the whole of it or, where there is none, those on its partitions.
 * Never both, as the kernel lets only one of them have the device.
 */
export function mountablesOf(device: Device): { device: string; diskSequence: number | null }[] {
  const { diskSequence, partitions } = device;
  const unused = partitions.every(({ mounts, holders }) => mounts.length === 0 && holders.length === 0);
  const whole = device.kind === "loop" || !device.suspended ? isMountable(device) && unused : false;
  const parts = device.content.kind === "filesystem" || device.mounts.length > 0 ? [] : partitions.filter(isMountable);
  return (whole ? [device] : parts).map((found) => ({ device: found.device, diskSequence }));
}

function spaceOf({ space }: Mount): string {
  return space ? vscode.l10n.t("{0} of {1} used", formatSize(space.used), formatSize(space.total)) : "";
}

/** The id of a device's codicon. */
export function iconOf(device: Device): string {
  if (device.kind === "mapper") {
    return device.suspended ? "debug-pause" : "layers";
  }
  return device.backingFileDeleted ? "warning" : device.readOnly ? "lock" : "database";
}
