/* Segments in words: what is read aloud, shown on hover, and listed in the table. */
import { formatSize, sizeInFull } from "../../devices/format";
import type { Family, Segment } from "../messages";

export const familyNames: Record<Family, string> = {
  ext: "ext2, ext3, ext4",
  xfs: "XFS",
  btrfs: "Btrfs",
  fat: "FAT, exFAT",
  ntfs: "NTFS",
  swap: "Swap",
  packed: "Read-only image",
  crypto: "Encrypted",
  volume: "RAID, LVM",
  extended: "Extended partition",
  other: "Other or unknown",
  empty: "Empty",
  free: "Free space",
};

/** What its bar says first. */
export function nameOf({ kind, name, label, title, number, purpose }: Segment): string {
  // A partition's number stands before it in any case.
  return kind === "holder" ? title : name || label || (number !== null && purpose) || title;
}

export function contentOf({ content, label }: Segment): string {
  return label ? `${content} “${label}”` : content;
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
    ["Device", device],
    ["Name", name],
    ["Content", kind !== "free" && contentOf(segment)],
    ["Type", purpose],
    ["UUID", uuid],
    ["Start", start !== null && sizeInFull(start)],
    ["Size", sizeInFull(size)],
    ["Used", used !== null && `${usedText(segment)} of ${formatSize(used.total)}`],
    ["Mounted at", mountedAt.join(", ")],
    ["Note", oddities.join(" ")],
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
    start !== null && `starts at ${formatSize(start)}`,
    used !== null && `${usedText(segment)} used`,
    mountedAt.length > 0 && `mounted at ${mountedAt.join(", ")}`,
    inside > 0 && `contains ${inside}`,
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
