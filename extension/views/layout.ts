/* From a device or an inspected image to the segments of its disk map. Nothing here knows VS Code. */
import { basename } from "node:path";
import { l10n } from "vscode";
import type { Content, Device, MapperDevice, Mount, Partition, Result } from "../../helper/protocol";
import { faultsOf } from "../devices/faults";
import { contentText, familyOf, isExtended, isOfMbr, purposeOf } from "./families";
import type { Action, Notice, Segment } from "./messages";
import { type Extent, freeSpace } from "./space";

export type Inspected = Result<"image/inspect">;

export interface Layout {
  segments: Segment[];
  notices: Notice[];
}

/** What can be done with a part of a device. */
export type ActionsOf = (part: { device: string; content: Content; mounts: Mount[]; holders: string[] }) => Action[];

/** A disk as both have it. */
interface Disk {
  device: string;
  devnum: string;
  title: string;
  size: number;
  content: Content;
  partitions: Partition[];
  mounts: Mount[];
  holders: string[];
  damaged?: Inspected["damaged"];
  tableSize?: Inspected["tableSize"];
}

/** Everything that one layout is made from. */
interface Surroundings {
  devices: ReadonlyMap<string, Device>;
  actionsOf: ActionsOf;
  /** The devices that the place at hand stands on: nothing stands on itself, though a list in motion may look so. */
  below: ReadonlySet<string>;
}

export function layoutOfImage(inspected: Inspected, title: string): Layout {
  const around: Surroundings = { devices: new Map(), actionsOf: () => [], below: new Set() };
  return layoutOf({ ...inspected, device: "", devnum: "", title, mounts: [], holders: [] }, around);
}

/** @param devices all there are: holders are among them */
export function layoutOfDevice(device: Device, devices: readonly Device[], actionsOf: ActionsOf): Layout {
  const byNode = new Map(devices.map((one) => [one.device, one]));
  return layoutOf(diskOf(device), { devices: byNode, actionsOf, below: new Set([device.device]) });
}

/** The segment with this id, however deep. */
export function findSegment(segments: readonly Segment[], id: string): Segment | undefined {
  for (const segment of segments) {
    const found = segment.id === id ? segment : findSegment(segment.children, id);
    if (found) {
      return found;
    }
  }
  return undefined;
}

function diskOf(device: Device): Disk {
  return { ...device, title: device.kind === "mapper" ? device.name : basename(device.device) };
}

function layoutOf(disk: Disk, around: Surroundings): Layout {
  if (disk.size === 0) {
    return { segments: [], notices: [{ level: "info", text: l10n.t("There is nothing in it: it has 0 bytes.") }] };
  }
  const notices = faultNotices(disk);
  const { content, partitions } = disk;
  // Of a device, the partitions are those that the kernel knows. None is no word on what its table says.
  const isTold = partitions.length > 0 || (content.kind === "partitionTable" && disk.device === "");
  if (!isTold || disk.damaged === "both") {
    return { segments: [wholeSegment(disk, "", around)], notices };
  }
  const { inside, outside } = placedHolders(disk, around);
  const segments = partitionSegments(disk, inside, around);
  if (outside.length > 0) {
    const names = outside.map(({ name }) => name).join(", ");
    notices.push({ level: "info", text: l10n.t("Used as a whole, past its partitions, by {0}.", names) });
  }
  notices.push(...oddityNotice(segments));
  if (content.kind === "partitionTable") {
    return { segments, notices };
  }
  // A hybrid ISO is a file system and a partitioned disk, both at once.
  return { segments: [{ ...wholeSegment(disk, "", around), children: segments.map(asRest) }], notices };
}

const MOST_SAID = 4;

function oddityNotice(segments: readonly Segment[]): Notice[] {
  const odd = oddOnes(segments);
  const said = odd.slice(0, MOST_SAID).map(({ title, oddities }) => `${title}: ${oddities.join(" ")}`);
  const more = odd.length > MOST_SAID ? [l10n.t("And {0} more.", odd.length - MOST_SAID)] : [];
  return odd.length > 0 ? [{ level: "warning", text: [...said, ...more].join(" ") }] : [];
}

function oddOnes(segments: readonly Segment[]): Segment[] {
  return segments.flatMap((segment) => [
    ...(segment.oddities.length > 0 ? [segment] : []),
    ...oddOnes(segment.children),
  ]);
}

function faultNotices(disk: Disk): Notice[] {
  return faultsOf(disk).map((text) => ({ level: "warning", text }));
}

const nothing = {
  number: null,
  device: "",
  name: "",
  label: "",
  purpose: "",
  uuid: "",
  used: null,
  mountedAt: [],
  oddities: [],
  actions: [],
  children: [],
};

/** A device that is one thing: a file system, the ground of other devices, or nothing that is known. */
function wholeSegment(disk: Disk, path: string, around: Surroundings): Segment {
  const { content, mounts } = disk;
  const id = `${path}${disk.device}`;
  const holders = disk.holders.flatMap((node) => holderSegment(node, `${id}/`, disk.size, around));
  return {
    ...nothing,
    id: id || "image",
    kind: "device",
    family: familyOf(content),
    device: disk.device,
    title: disk.title,
    label: content.label,
    content: contentText(content),
    uuid: content.uuid,
    start: 0,
    size: disk.size,
    used: usedOf(mounts),
    mountedAt: mounts.map(({ target }) => target),
    actions: around.actionsOf(disk),
    children: withRest(holders, id, disk.size),
  };
}

/** A mapper device in the picture of what it stands on. */
function holderSegment(node: string, path: string, room: number, around: Surroundings): Segment[] {
  if (around.below.has(node)) {
    return [];
  }
  const id = `${path}${node}`;
  const device = around.devices.get(node);
  if (!device) {
    const title = basename(node);
    const content = l10n.t("Unknown");
    return [{ ...nothing, id, kind: "holder", family: "other", device: node, title, content, start: null, size: room }];
  }
  const disk = diskOf(device);
  const deeper = { ...around, below: new Set([...around.below, node]) };
  const whole = wholeSegment(disk, path, deeper);
  const children =
    device.partitions.length > 0 ? partitionSegments(disk, new Map(), deeper, `${id}/`).map(asRest) : whole.children;
  return [{ ...whole, kind: "holder", start: null, oddities: faultsOf(disk), children }];
}

/**
 * Whose place mapper devices that stand on a partitioned disk take: kpartx makes them of partitions, and they hold the
 * whole disk.
 */
function placedHolders({ holders, partitions, devnum }: Disk, { devices }: Surroundings) {
  const inside = new Map<number, string[]>();
  const outside: { node: string; name: string }[] = [];
  for (const node of holders) {
    const device = devices.get(node);
    const place = device?.kind === "mapper" ? placeOn(device, devnum) : undefined;
    const partition = partitions.find(({ start, size }) => start === place?.start && size === place.size);
    if (partition) {
      inside.set(partition.number, [...(inside.get(partition.number) ?? []), node]);
    } else {
      outside.push({ node, name: basename(node) });
    }
  }
  return { inside, outside };
}

/** The part of a disk that a device is, where it is nothing but that. Sectors are 512 bytes in every table. */
function placeOn({ table }: MapperDevice, devnum: string): Extent | undefined {
  const [target, ...others] = table;
  const [, on, sector] = /^(\d+:\d+) (\d+)$/.exec(target?.params ?? "") ?? [];
  if (target?.type !== "linear" || others.length > 0 || on !== devnum) {
    return undefined;
  }
  return { start: Number(sector) * 512, size: target.lengthSectors * 512 };
}

function partitionSegments(
  disk: Disk,
  held: ReadonlyMap<number, string[]>,
  around: Surroundings,
  path = "",
): Segment[] {
  const partitions = withExtendedSizes(disk.partitions);
  const tree = nested(partitions);
  const make = (node: Node): Segment => {
    const segment = partitionSegment(node.partition, disk, held.get(node.partition.number) ?? [], around, path);
    const { start, size } = node.partition;
    segment.oddities.push(...odditiesOf(node, disk, partitions));
    if (isExtended(node.partition.type)) {
      const children = node.inside.map(make);
      const free = freeSpace(children.map(extentOf), { start, size, disk: disk.size, tables: true });
      return { ...segment, children: inOrder([...children, ...free.map((extent) => freeSegment(extent, path))]) };
    }
    if (node.inside.length > 0) {
      const children = node.inside.map(make);
      const between = freeSpace(children.map(extentOf), { start, size, disk: disk.size, tables: false });
      const rest = between.map((extent) => restSegment(`${segment.id}/rest@${extent.start}`, extent));
      return { ...segment, children: inOrder([...children, ...rest]) };
    }
    return segment;
  };
  const free = freeSpace(partitions, { start: 0, size: disk.size, disk: disk.size, tables: false });
  return inOrder([...tree.map(make), ...free.map((extent) => freeSegment(extent, path))]);
}

function extentOf({ start, size }: Segment): Extent {
  return { start: start ?? 0, size };
}

function inOrder(segments: Segment[]): Segment[] {
  return segments.sort((a, b) => (a.start ?? 0) - (b.start ?? 0) || b.size - a.size);
}

/** The kernel shows the first sectors alone of an extended partition: it is at least what its logical ones need. */
function withExtendedSizes(partitions: readonly Partition[]): Partition[] {
  const extended = partitions.find(({ type }) => isExtended(type));
  if (!extended) {
    return [...partitions];
  }
  const ends = partitions.filter((one) => isLogical(one, extended)).map(({ start, size }) => start + size);
  const size = Math.max(extended.start + extended.size, ...ends) - extended.start;
  return partitions.map((one) => (one === extended ? { ...one, size } : one));
}

function isLogical({ number, type, start }: Partition, extended: Partition): boolean {
  return number >= 5 && (isOfMbr(type) || type === "") && start >= extended.start;
}

/** A partition and those that lie inside of it. */
interface Node {
  partition: Partition;
  inside: Node[];
}

/** Partitions by start, each within the smallest that holds all of it and more. */
function nested(partitions: readonly Partition[]): Node[] {
  const nodes = [...partitions]
    .sort((a, b) => a.start - b.start || b.size - a.size || a.number - b.number)
    .map((partition): Node => ({ partition, inside: [] }));
  const top: Node[] = [];
  for (const [index, node] of nodes.entries()) {
    const outer = nodes
      .slice(0, index)
      .filter((other) => isWithin(node.partition, other.partition))
      .sort((a, b) => a.partition.size - b.partition.size)[0];
    (outer?.inside ?? top).push(node);
  }
  return top;
}

function isWithin(a: Partition, b: Partition): boolean {
  return a.size < b.size && a.start >= b.start && a.start + a.size <= b.start + b.size;
}

function odditiesOf({ partition }: Node, disk: Disk, partitions: readonly Partition[]): string[] {
  const { start, size } = partition;
  const overlapped = partitions.filter(
    (other) =>
      other !== partition &&
      other.start < start + size &&
      start < other.start + other.size &&
      !(isExtended(other.type) && isWithin(partition, other)) &&
      !(isExtended(partition.type) && isWithin(other, partition)),
  );
  const said: string[] = [];
  if (overlapped.length > 0) {
    const numbers = overlapped.map(({ number }) => number).join(", ");
    said.push(
      overlapped.length === 1
        ? l10n.t("Overlaps partition {0}.", numbers)
        : l10n.t("Overlaps partitions {0}.", numbers),
    );
  }
  if (start + size > disk.size) {
    said.push(l10n.t("Reaches past the end: the image was cut short."));
  }
  return said.concat(faultsOf(partition));
}

function partitionSegment(
  partition: Partition,
  disk: Disk,
  held: readonly string[],
  around: Surroundings,
  path: string,
): Segment {
  const { number, device, content, mounts, size } = partition;
  const extended = isExtended(partition.type);
  const id = `${path}partition${number}`;
  const holders = [...partition.holders, ...held].flatMap((node) => holderSegment(node, `${id}/`, size, around));
  return {
    ...nothing,
    id,
    kind: "partition",
    family: extended ? "extended" : familyOf(content),
    number,
    device,
    title: device ? basename(device) : l10n.t("Partition {0}", number),
    name: partition.name,
    label: extended ? "" : content.label,
    content: extended ? l10n.t("Extended") : contentText(content),
    purpose: extended ? "" : purposeOf(partition.type),
    uuid: content.uuid || partition.uuid,
    start: partition.start,
    size,
    used: usedOf(mounts),
    mountedAt: mounts.map(({ target }) => target),
    // Such as `nothing` has are shared.
    oddities: [],
    actions: extended || disk.device === "" ? [] : around.actionsOf(partition),
    children: withRest(holders, id, size),
  };
}

/** A file system that is mounted twice is as full here as there. */
function usedOf(mounts: readonly Mount[]): Segment["used"] {
  const space = mounts.find((mount) => mount.space && mount.space.total > 0)?.space;
  return space ? { bytes: space.used, total: space.total } : null;
}

function freeSegment({ start, size }: Extent, path: string): Segment {
  const words = { title: l10n.t("Free space"), content: l10n.t("Free") };
  return { ...nothing, ...words, id: `${path}free@${start}`, kind: "free", family: "free", start, size };
}

function restSegment(id: string, { start, size }: { start: number | null; size: number }): Segment {
  return { ...nothing, id, kind: "rest", family: "empty", title: "", content: "", start, size };
}

/** Within a file system, what no partition has isn't free. */
function asRest(segment: Segment): Segment {
  return segment.kind === "free" ? restSegment(segment.id, segment) : segment;
}

/** Holders may have less than what they stand on, or more: a stripe or a snapshot stands on several. */
function withRest(holders: Segment[], id: string, size: number): Segment[] {
  const rest = size - holders.reduce((sum, holder) => sum + holder.size, 0);
  return holders.length > 0 && rest > size / 100
    ? [...holders, restSegment(`${id}/rest`, { start: null, size: rest })]
    : holders;
}
