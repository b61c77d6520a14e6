/* All that is known of a device, when one asks for it. */
import * as vscode from "vscode";
import type { Device, Mount, Partition } from "../../helper/protocol";
import { deviceSections, mountRows, partitionRows, type Row } from "./rows";

export function deviceTooltip(device: Device): vscode.MarkdownString {
  return table(
    device.device,
    deviceSections(device).flatMap(({ rows }) => rows),
  );
}

export function partitionTooltip(partition: Partition): vscode.MarkdownString {
  return table(partition.device, partitionRows(partition));
}

export function mountTooltip(mount: Mount): vscode.MarkdownString {
  return table(mount.target, mountRows(mount));
}

function table(title: string, rows: Row[]): vscode.MarkdownString {
  const text = new vscode.MarkdownString();
  text.appendMarkdown(`**${escapeMarkdown(title)}**\n\n| | |\n|:--|:--|\n`);
  for (const [name, value] of rows) {
    text.appendMarkdown(`| ${name} | ${escapeMarkdown(value)} |\n`);
  }
  return text;
}

// Names of files and file systems are anybody's words: they are shown, not rendered. A newline would end the table.
function escapeMarkdown(value: string): string {
  return value.replace(/[\\`*_{}[\]()#+\-.!|<>&~$:]/g, "\\$&").replace(/[\r\n]/g, "↵");
}
