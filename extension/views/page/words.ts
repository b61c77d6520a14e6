/* Segments in words: what is read aloud, shown on hover, and listed in the table. */
import { l10n } from "vscode";
import { formatSize, sizeInFull } from "../../devices/format";
import type { Family, Segment } from "../messages";

export const familyNames: Record<Family, string> = {
  ext: "ext2, ext3, ext4",
  xfs: "XFS",
  btrfs: "Btrfs",
  fat: "FAT, exFAT",
  ntfs: "NTFS",
  swap: l10n.t("Swap"),
  packed: l10n.t("Read-only image"),
  crypto: l10n.t("Encrypted"),
  volume: "RAID, LVM",
  extended: l10n.t("Extended partition"),
  other: l10n.t("Other or unknown"),
  empty: l10n.t("Empty"),
  free: l10n.t("Free space"),
};

/** What its bar says first. */
export function nameOf({ kind, name, label, title, number, purpose }: Segment): string {
  // A partition's number stands before it in any case.
  return kind === "holder" ? title : name || label || (number !== null && purpose) || title;
}

export function contentOf({ content, label }: Segment): string {
  return label ? l10n.t("{0} “{1}”", content, label) : content;
}

export function usedPercent({ used }: Segment): number | undefined {
  return used ? Math.min(100, Math.round((used.bytes / used.total) * 100)) : undefined;
}

export function usedText(segment: Segment): string {
  return segment.used ? `${formatSize(segment.used.bytes)} (${usedPercent(segment)} %)` : "";
}

/** All that is known of a segment, by name; nothing of what isn't known. */
export function details(segment: Segment): [name: string, value: string][] {
  const { kind, device, name, purpose, uuid, start, size, used, mountedAt, oddities } = segment;
  const rows: [string, string | false][] = [
    [l10n.t("Device"), device],
    [l10n.t("Name"), name],
    [l10n.t("Content"), kind !== "free" && contentOf(segment)],
    [l10n.t("Type"), purpose],
    ["UUID", uuid],
    [l10n.t("Start"), start !== null && sizeInFull(start)],
    [l10n.t("Size"), sizeInFull(size)],
    [l10n.t("Used"), used !== null && l10n.t("{0} of {1}", usedText(segment), formatSize(used.total))],
    [l10n.t("Mounted at"), mountedAt.join(", ")],
    [l10n.t("Note"), oddities.join(" ")],
  ];
  return rows.filter((row): row is [string, string] => row[1] !== false && row[1] !== "");
}

/** A segment in one line, for who can't see it. */
export function spoken(segment: Segment): string {
  const { kind, title, name, purpose, start, size, used, mountedAt, oddities, children } = segment;
  const inside = children.filter((child) => child.kind !== "rest").length;
  return [
    title,
    name,
    kind !== "free" && contentOf(segment),
    purpose,
    formatSize(size),
    start !== null && l10n.t("starts at {0}", formatSize(start)),
    used !== null && l10n.t("{0} used", usedText(segment)),
    mountedAt.length > 0 && l10n.t("mounted at {0}", mountedAt.join(", ")),
    inside > 0 && l10n.t("contains {0}", inside),
    ...oddities,
  ]
    .filter(Boolean)
    .join(", ");
}

/** Segments that can be pointed at, in the order of the picture, and how deep each one is. */
export function flattened(segments: readonly Segment[], depth = 0): { segment: Segment; depth: number }[] {
  return segments.flatMap((segment) =>
    segment.kind === "rest" ? [] : [{ segment, depth }, ...flattened(segment.children, depth + 1)],
  );
}
