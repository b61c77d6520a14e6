/* What the tree shows: devices, their partitions, and where they are mounted. */
import { basename } from "node:path";
import * as vscode from "vscode";
import type { Content, Device, LoopDevice, MapperDevice, Mount, Partition } from "../../helper/protocol";
import { formatSize } from "./format";
import { loopTooltip, mapperTooltip, partitionTooltip } from "./tooltip";

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
    this.tooltip = device.kind === "loop" ? loopTooltip(device) : mapperTooltip(device);
    this.iconPath = new vscode.ThemeIcon(iconOf(device));
    this.contextValue = device.kind;
    this.accessibilityInformation = { label: `${labelOf(device)}, ${this.description}` };
  }
}

export class PartitionItem extends vscode.TreeItem {
  constructor(
    readonly partition: Partition,
    readonly children: Item[],
    parentId: string,
  ) {
    super(basename(partition.device), collapsible(children));
    this.id = `${parentId}/${partition.device}@${partition.start}`;
    this.description = [partition.name, contentLabel(partition.content), formatSize(partition.size)]
      .filter(Boolean)
      .join(" · ");
    this.tooltip = partitionTooltip(partition);
    this.iconPath = new vscode.ThemeIcon("symbol-field");
    this.contextValue = "partition";
    this.accessibilityInformation = { label: `Partition ${partition.number}, ${this.description}` };
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
    this.description = [mount.fileSystem, mount.readOnly && "read-only"].filter(Boolean).join(" · ");
    this.tooltip = `${mount.target}\n${mount.fileSystem}, ${mount.options.join(",")}`;
    this.iconPath = new vscode.ThemeIcon("folder-opened");
    this.contextValue = "mount";
    this.accessibilityInformation = { label: `Mounted at ${mount.target}, ${this.description}` };
  }
}

function collapsible(children: Item[]): vscode.TreeItemCollapsibleState {
  return children.length > 0 ? vscode.TreeItemCollapsibleState.Expanded : vscode.TreeItemCollapsibleState.None;
}

/** As people call a device: "loop3", "data". */
export function labelOf(device: Device): string {
  return device.kind === "loop" ? basename(device.device) : device.name;
}

function describeLoop(device: LoopDevice): string {
  const image = basename(device.backingFile) + (device.backingFileDeleted ? " (deleted)" : "");
  return [image, formatSize(device.size), device.readOnly && "read-only", contentLabel(device.content)]
    .filter(Boolean)
    .join(" · ");
}

function describeMapper(device: MapperDevice): string {
  const types = [...new Set(device.table.map(({ type }) => type))].join(", ");
  return [types, formatSize(device.size), device.readOnly && "read-only", device.suspended && "suspended"]
    .filter(Boolean)
    .join(" · ");
}

/** What is on a device, in a word or two. */
export function contentLabel(content: Content): string {
  if (content.kind === "partitionTable") {
    return content.type === "dos" ? "MBR" : content.type.toUpperCase();
  }
  return [content.type, content.label && `“${content.label}”`].filter(Boolean).join(" ");
}

function iconOf(device: Device): string {
  if (device.kind === "mapper") {
    return device.suspended ? "debug-pause" : "layers";
  }
  return device.backingFileDeleted ? "warning" : device.readOnly ? "lock" : "database";
}
