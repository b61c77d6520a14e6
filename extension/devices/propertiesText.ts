/* Properties as text: a heading for each section, and under it names and values in two columns. */
import { basename } from "node:path";
import { l10n } from "vscode";
import type { Device, Mount, Partition } from "../../helper/protocol";
import { deviceSections, mountRows, partitionRows, type Section } from "./rows";

/** A device, then each of its partitions, each with its mounts. */
export function deviceProperties(device: Device): string {
  return formatSections(device.device, [
    ...deviceSections(device),
    ...device.mounts.map(mountSection),
    ...device.partitions.flatMap((partition) => [
      {
        title: l10n.t("Partition {0} ({1})", partition.number, basename(partition.device)),
        rows: partitionRows(partition),
      },
      ...partition.mounts.map(mountSection),
    ]),
  ]);
}

export function partitionProperties(partition: Partition): string {
  return formatSections(partition.device, [
    { title: l10n.t("Partition {0}", partition.number), rows: partitionRows(partition) },
    ...partition.mounts.map(mountSection),
  ]);
}

export function mountProperties(mount: Mount): string {
  return formatSections(mount.target, [{ title: l10n.t("Mount point"), rows: mountRows(mount) }]);
}

function mountSection(mount: Mount): Section {
  return { title: l10n.t("Mounted at {0}", mount.target), rows: mountRows(mount) };
}

function formatSections(title: string, sections: readonly Section[]): string {
  const width = Math.max(...sections.flatMap(({ rows }) => rows.map(([name]) => name.length)));
  const texts = sections.map(({ title: heading, rows }) =>
    [heading, ...rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`)].map(inOneLine).join("\n"),
  );
  return `${[inOneLine(title), ...texts].join("\n\n")}\n`;
}

// Names of files and file systems are anybody's words, and may hold whatever moves or hides others.
function inOneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu, "\uFFFD");
}
