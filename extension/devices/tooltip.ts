/* All that is known of a device, when one asks for it. */
import * as vscode from "vscode";
import type { Content, LoopDevice, MapperDevice, Mount, Partition } from "../../helper/protocol";
import { formatSize } from "./format";

type Row = [name: string, value: string | false | undefined];

export function loopTooltip(device: LoopDevice): vscode.MarkdownString {
  return table(device.device, [
    ["Image", device.backingFile],
    ["State of image", device.backingFileDeleted && "deleted or replaced; its data goes when the device is detached"],
    ["Size", sizeInFull(device.size)],
    ["Sector size", `${device.sectorSize} bytes`],
    ["Access", device.readOnly ? "read-only" : "read and write"],
    ["Offset", device.offset > 0 && sizeInFull(device.offset)],
    ["Size limit", device.sizeLimit > 0 && sizeInFull(device.sizeLimit)],
    ["Content", contentInFull(device.content)],
    ["Direct I/O", device.directIo ? "on" : "off"],
    ["Partition scan", device.partitionScan ? "on" : "off"],
    ["Autoclear", device.autoclear ? "on: detached after its last user" : "off"],
    ["Reference", device.reference],
    ["Mounted at", device.mounts.map(({ target }) => target).join(", ")],
    ["Used by", device.holders.join(", ")],
    ["Device number", device.devnum],
    ["Disk sequence", device.diskSequence === null ? undefined : String(device.diskSequence)],
  ]);
}

export function mapperTooltip(device: MapperDevice): vscode.MarkdownString {
  return table(device.device, [
    ["UUID", device.uuid],
    ["Node", device.node],
    ["Size", sizeInFull(device.size)],
    ["Targets", device.table.map(({ type }) => type).join(", ")],
    ["Access", device.readOnly ? "read-only" : "read and write"],
    ["State", device.suspended ? "suspended" : "active"],
    ["Inactive table", device.hasInactiveTable && "loaded"],
    ["Stands on", device.dependencies.join(", ")],
    ["Content", contentInFull(device.content)],
    ["Mounted at", device.mounts.map(({ target }) => target).join(", ")],
    ["Used by", device.holders.join(", ")],
    ["Open", String(device.openCount)],
    ["Device number", device.devnum],
  ]);
}

export function partitionTooltip(partition: Partition): vscode.MarkdownString {
  return table(partition.device, [
    ["Name", partition.name],
    ["Type", partition.type],
    ["UUID", partition.uuid],
    ["Start", sizeInFull(partition.start)],
    ["Size", sizeInFull(partition.size)],
    ["Content", contentInFull(partition.content)],
    ["Mounted at", partition.mounts.map(({ target }) => target).join(", ")],
    ["Used by", partition.holders.join(", ")],
  ]);
}

export function mountTooltip({ target, fileSystem, options, readOnly, space }: Mount): vscode.MarkdownString {
  return table(target, [
    ["File system", fileSystem],
    ["Access", readOnly ? "read-only" : "read and write"],
    ["Size", space && sizeInFull(space.total)],
    ["Used", space && sizeInFull(space.used)],
    ["Available", space && sizeInFull(space.available)],
    ["Options", options.join(", ")],
  ]);
}

function sizeInFull(bytes: number): string {
  return bytes < 1024 ? `${bytes} bytes` : `${formatSize(bytes)} (${bytes.toLocaleString("en")} bytes)`;
}

function contentInFull({ kind, type, label, uuid }: Content): string {
  if (kind === "empty") {
    return "empty";
  }
  return [type || "unknown", label && `“${label}”`, uuid].filter(Boolean).join(", ");
}

function table(title: string, rows: Row[]): vscode.MarkdownString {
  const text = new vscode.MarkdownString();
  text.appendMarkdown(`**${escapeMarkdown(title)}**\n\n| | |\n|:--|:--|\n`);
  for (const [name, value] of rows) {
    if (value) {
      text.appendMarkdown(`| ${name} | ${escapeMarkdown(value)} |\n`);
    }
  }
  return text;
}

// Names of files and file systems are anybody's words: they are shown, not rendered. A newline would end the table.
function escapeMarkdown(value: string): string {
  return value.replace(/[\\`*_{}[\]()#+\-.!|<>&~$:]/g, "\\$&").replace(/[\r\n]/g, "↵");
}
