/* All that is known of a device, a partition or a mount: what tooltips and Properties both show. */
import type { Content, Device, LoopDevice, MapperDevice, Mount, Partition } from "../../helper/protocol";
import { type Faulty, faultsOf } from "./faults";
import { sizeInFull } from "./format";

export type Row = [name: string, value: string];

export interface Section {
  title: string;
  rows: Row[];
}

export function deviceSections(device: Device): Section[] {
  return device.kind === "loop" ? loopSections(device) : mapperSections(device);
}

function loopSections(device: LoopDevice): Section[] {
  return sections(
    section("Device", [
      ["Device number", device.devnum],
      ["Disk sequence", sequenceOf(device)],
      ["Set up by", setUpBy(device)],
    ]),
    section("Image", [
      ["Image", device.backingFile],
      ["State of image", device.backingFileDeleted && "deleted or replaced; its data goes when the device is detached"],
      ["Inode", device.backingInode > 0 && `${device.backingInode} on device ${device.backingDevnum}`],
    ]),
    section("Geometry", [
      ["Size", sizeInFull(device.size)],
      ["Sector size", `${device.sectorSize} bytes`],
      ["Offset", device.offset > 0 && sizeInFull(device.offset)],
      ["Size limit", device.sizeLimit > 0 && sizeInFull(device.sizeLimit)],
    ]),
    section("Flags", [
      ["Access", access(device)],
      ["Direct I/O", device.directIo ? "on" : "off"],
      ["Partition scan", device.partitionScan ? "on" : "off"],
      ["Autoclear", device.autoclear ? "on: detached after its last user" : "off"],
      ["Reference", device.reference],
    ]),
    section("Content", contentRows(device)),
    section("In use", usedBy(device)),
  );
}

function mapperSections(device: MapperDevice): Section[] {
  return sections(
    section("Device", [
      ["Node", device.node],
      ["UUID", device.uuid],
      ["Device number", device.devnum],
      ["Disk sequence", sequenceOf(device)],
      ["Set up by", setUpBy(device)],
    ]),
    section("Geometry", [
      ["Size", sizeInFull(device.size)],
      ["Targets", device.table.map(({ type }) => type).join(", ")],
      ["Inactive table", device.hasInactiveTable && "loaded"],
      ["Stands on", device.dependencies.join(", ")],
    ]),
    section("Flags", [
      ["Access", access(device)],
      ["State", device.suspended ? "suspended" : "active"],
      ["Events", String(device.eventNumber)],
    ]),
    section("Content", contentRows(device)),
    section("In use", [...usedBy(device), ["Open", String(device.openCount)]]),
  );
}

export function partitionRows(partition: Partition): Row[] {
  return given([
    ["Name", partition.name],
    ["Type", partition.type],
    ["Partition UUID", partition.uuid],
    ["Start", sizeInFull(partition.start)],
    ["Size", sizeInFull(partition.size)],
    ...contentRows(partition),
    ...usedBy(partition),
  ]);
}

export function mountRows({ fileSystem, options, readOnly, space }: Mount): Row[] {
  return given([
    ["File system", fileSystem],
    ["Access", access({ readOnly })],
    ["Size", space && sizeInFull(space.total)],
    ["Used", space && sizeInFull(space.used)],
    ["Available", space && sizeInFull(space.available)],
    ["Options", options.join(", ")],
  ]);
}

type Wanted = [name: string, value: string | false | undefined];

/** Only what there is something to say of. */
function given(rows: Wanted[]): Row[] {
  return rows.filter((row): row is Row => Boolean(row[1]));
}

function section(title: string, rows: Wanted[]): Section {
  return { title, rows: given(rows) };
}

function sections(...all: Section[]): Section[] {
  return all.filter(({ rows }) => rows.length > 0);
}

function contentRows(part: Faulty): Wanted[] {
  const { content } = part;
  return [
    ["Content", contentInFull(content)],
    ["Label", content.label],
    ["UUID", content.uuid],
    ["Fault", faultsOf(part).join(" ")],
  ];
}

function contentInFull({ kind, type }: Content): string {
  const names = { partitionTable: " (partition table)", raid: " (part of a volume or array)", crypto: " (encrypted)" };
  if (kind === "empty") {
    return "empty";
  }
  const name = kind === "filesystem" || kind === "other" ? "" : names[kind];
  return `${type || "unknown"}${name}`;
}

function usedBy({ mounts, holders }: Pick<Device, "mounts" | "holders">): Wanted[] {
  return [
    ["Mounted at", mounts.map(({ target }) => target).join(", ")],
    ["Used by", holders.join(", ")],
  ];
}

function access({ readOnly }: { readOnly: boolean }): string {
  return readOnly ? "read-only" : "read and write";
}

function sequenceOf({ diskSequence }: Device): string | undefined {
  return diskSequence === null ? undefined : String(diskSequence);
}

function setUpBy({ setUpBy: user }: Device): string {
  return user ? `${user.name} (user ${user.uid})` : "the system or another program";
}
