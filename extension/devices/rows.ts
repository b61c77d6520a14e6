/* All that is known of a device, a partition or a mount: what tooltips and Properties both show. */
import { l10n } from "vscode";
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
    section(l10n.t("Device"), [
      [l10n.t("Device number"), device.devnum],
      [l10n.t("Disk sequence"), sequenceOf(device)],
      [l10n.t("Set up by"), setUpBy(device)],
    ]),
    section(l10n.t("Image"), [
      [l10n.t("Image"), device.backingFile],
      [
        l10n.t("State of image"),
        device.backingFileDeleted && l10n.t("deleted or replaced; its data goes when the device is detached"),
      ],
      [
        l10n.t("Inode"),
        device.backingInode > 0 && l10n.t("{0} on device {1}", device.backingInode, device.backingDevnum),
      ],
    ]),
    section(l10n.t("Geometry"), [
      [l10n.t("Size"), sizeInFull(device.size)],
      [l10n.t("Sector size"), l10n.t("{0} bytes", device.sectorSize)],
      [l10n.t("Offset"), device.offset > 0 && sizeInFull(device.offset)],
      [l10n.t("Size limit"), device.sizeLimit > 0 && sizeInFull(device.sizeLimit)],
    ]),
    section(l10n.t("Flags"), [
      [l10n.t("Access"), access(device)],
      [l10n.t("Direct I/O"), device.directIo ? l10n.t("on") : l10n.t("off")],
      [l10n.t("Partition scan"), device.partitionScan ? l10n.t("on") : l10n.t("off")],
      [l10n.t("Autoclear"), device.autoclear ? l10n.t("on: detached after its last user") : l10n.t("off")],
      [l10n.t("Reference"), device.reference],
    ]),
    section(l10n.t("Content"), contentRows(device)),
    section(l10n.t("In use"), usedBy(device)),
  );
}

function mapperSections(device: MapperDevice): Section[] {
  return sections(
    section(l10n.t("Device"), [
      [l10n.t("Node"), device.node],
      ["UUID", device.uuid],
      [l10n.t("Device number"), device.devnum],
      [l10n.t("Disk sequence"), sequenceOf(device)],
      [l10n.t("Set up by"), setUpBy(device)],
    ]),
    section(l10n.t("Geometry"), [
      [l10n.t("Size"), sizeInFull(device.size)],
      [l10n.t("Targets"), device.table.map(({ type }) => type).join(", ")],
      [l10n.t("Inactive table"), device.hasInactiveTable && l10n.t("loaded")],
      [l10n.t("Stands on"), device.dependencies.join(", ")],
    ]),
    section(l10n.t("Flags"), [
      [l10n.t("Access"), access(device)],
      [l10n.t("State"), device.suspended ? l10n.t("suspended") : l10n.t("active")],
      [l10n.t("Events"), String(device.eventNumber)],
    ]),
    section(l10n.t("Content"), contentRows(device)),
    section(l10n.t("In use"), [...usedBy(device), [l10n.t("Open"), String(device.openCount)]]),
  );
}

export function partitionRows(partition: Partition): Row[] {
  return given([
    [l10n.t("Name"), partition.name],
    [l10n.t("Type"), partition.type],
    [l10n.t("Partition UUID"), partition.uuid],
    [l10n.t("Start"), sizeInFull(partition.start)],
    [l10n.t("Size"), sizeInFull(partition.size)],
    ...contentRows(partition),
    ...usedBy(partition),
  ]);
}

export function mountRows({ fileSystem, options, readOnly, space }: Mount): Row[] {
  return given([
    [l10n.t("File system"), fileSystem],
    [l10n.t("Access"), access({ readOnly })],
    [l10n.t("Size"), space && sizeInFull(space.total)],
    [l10n.t("Used"), space && sizeInFull(space.used)],
    [l10n.t("Available"), space && sizeInFull(space.available)],
    [l10n.t("Options"), options.join(", ")],
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
    [l10n.t("Content"), contentInFull(content)],
    [l10n.t("Label"), content.label],
    ["UUID", content.uuid],
    [l10n.t("Fault"), faultsOf(part).join(" ")],
  ];
}

function contentInFull({ kind, type }: Content): string {
  const name = type || l10n.t("unknown");
  switch (kind) {
    case "empty":
      return l10n.t("empty");
    case "partitionTable":
      return l10n.t("{0} (partition table)", name);
    case "raid":
      return l10n.t("{0} (part of a volume or array)", name);
    case "crypto":
      return l10n.t("{0} (encrypted)", name);
    default:
      return name;
  }
}

function usedBy({ mounts, holders }: Pick<Device, "mounts" | "holders">): Wanted[] {
  return [
    [l10n.t("Mounted at"), mounts.map(({ target }) => target).join(", ")],
    [l10n.t("Used by"), holders.join(", ")],
  ];
}

function access({ readOnly }: { readOnly: boolean }): string {
  return readOnly ? l10n.t("read-only") : l10n.t("read and write");
}

function sequenceOf({ diskSequence }: Device): string | undefined {
  return diskSequence === null ? undefined : String(diskSequence);
}

function setUpBy({ setUpBy: user }: Device): string {
  return user ? l10n.t("{0} (user {1})", user.name, user.uid) : l10n.t("the system or another program");
}
