/* The device mapper's interface, <linux/dm-ioctl.h>: numbers and structs. What can be done with them: dmcontrol.ts. */
import { type Devnum, deviceOf, devnum } from "./devnum";

declare const sectorsBrand: unique symbol;
/** A number of sectors of 512 bytes: the device mapper's unit, whatever the sectors of the devices below are. */
export type Sectors = number & { readonly [sectorsBrand]: true };

declare const dmNameBrand: unique symbol;
/** A device's name as the kernel has it: escaped (see mapper/names.ts), and so the last part of its node's path. */
export type DmName = string & { readonly [dmNameBrand]: true };

const SECTOR_SIZE = 512;

/** @throws RangeError for what can't be a number of sectors */
export function sectors(count: number): Sectors {
  if (!Number.isSafeInteger(count) || count < 0) {
    throw new RangeError(`not a number of sectors: ${count}`);
  }
  return count as Sectors;
}

/** The whole sectors in a number of bytes. */
export function sectorsIn(bytes: number): Sectors {
  return sectors(Math.floor(bytes / SECTOR_SIZE));
}

export function bytesIn(count: Sectors): number {
  return count * SECTOR_SIZE;
}

/** The ioctls' numbers; the request is `_IOWR(DM_IOCTL, number, struct dm_ioctl)`, the same on x86-64 and AArch64. */
export const dmCommands = {
  DM_VERSION: 0,
  DM_LIST_DEVICES: 2,
  DM_DEV_CREATE: 3,
  DM_DEV_REMOVE: 4,
  DM_DEV_RENAME: 5,
  DM_DEV_SUSPEND: 6,
  DM_DEV_STATUS: 7,
  DM_TABLE_LOAD: 9,
  DM_TABLE_CLEAR: 10,
  DM_TABLE_DEPS: 11,
  DM_TABLE_STATUS: 12,
  DM_LIST_VERSIONS: 13,
  DM_TARGET_MSG: 14,
  DM_DEV_ARM_POLL: 16,
  DM_GET_TARGET_VERSION: 17,
} as const;
export type DmCommand = keyof typeof dmCommands;

export function dmRequest(command: DmCommand): number {
  return 0xc138fd00 + dmCommands[command];
}

export const dmFlags = {
  DM_READONLY_FLAG: 1 << 0,
  DM_SUSPEND_FLAG: 1 << 1,
  DM_STATUS_TABLE_FLAG: 1 << 4,
  DM_ACTIVE_PRESENT_FLAG: 1 << 5,
  DM_INACTIVE_PRESENT_FLAG: 1 << 6,
  DM_BUFFER_FULL_FLAG: 1 << 8,
  DM_SKIP_LOCKFS_FLAG: 1 << 10,
  DM_NOFLUSH_FLAG: 1 << 11,
  DM_QUERY_INACTIVE_TABLE_FLAG: 1 << 12,
  DM_UEVENT_GENERATED_FLAG: 1 << 13,
  DM_UUID_FLAG: 1 << 14,
  DM_SECURE_DATA_FLAG: 1 << 15,
  DM_DATA_OUT_FLAG: 1 << 16,
  DM_DEFERRED_REMOVE: 1 << 17,
} as const;

export const DM_NAME_LEN = 128;
export const DM_UUID_LEN = 129;
export const DM_MAX_TYPE_NAME = 16;
export const DM_IOCTL_SIZE = 312;
export const DM_TARGET_SPEC_SIZE = 40;
const ALIGNMENT = 8;

/** Where the fields stand; tested against the header's. */
export const dmIoctlOffsets = {
  version: 0,
  data_size: 12,
  data_start: 16,
  target_count: 20,
  open_count: 24,
  flags: 28,
  event_nr: 32,
  dev: 40,
  name: 48,
  uuid: 176,
} as const;
export const dmTargetSpecOffsets = { sector_start: 0, length: 8, status: 16, next: 20, target_type: 24 } as const;
export const dmNameListOffsets = { dev: 0, next: 8, name: 12 } as const;
export const dmTargetDepsOffsets = { count: 0, dev: 8 } as const;
export const dmTargetVersionsOffsets = { next: 0, version: 4, name: 16 } as const;
export const dmTargetMsgOffsets = { sector: 0, message: 8 } as const;

/**
 * Which device: by exactly one of these, as newer kernels refuse more. The number is the surest, as it stays with the
 * device for as long as anybody holds that open.
 */
export type DmKey = { name: DmName } | { devnum: Devnum };

/** A `struct dm_ioctl` on its way to the kernel. */
export interface DmHeader {
  key?: DmKey | undefined;
  /** Set by DM_DEV_CREATE, which takes the name besides. */
  uuid?: string | undefined;
  flags?: number | undefined;
  /** The cookie for udev, where the ioctl makes an event. */
  eventNumber?: number | undefined;
  targetCount?: number | undefined;
}

/** A `struct dm_ioctl` on its way back: what every ioctl on a device says of it. */
export interface DmStatus {
  name: DmName;
  uuid: string;
  devnum: Devnum;
  flags: number;
  openCount: number;
  eventNumber: number;
  targetCount: number;
}

/** @param payload what follows the struct @param size of the whole, in bytes: room for the answer */
export function encodeDmIoctl(header: DmHeader, payload: Uint8Array, size: number): Buffer {
  const at = dmIoctlOffsets;
  const bytes = Buffer.alloc(Math.max(size, DM_IOCTL_SIZE + payload.length));
  // The oldest minor version: a kernel refuses one that is newer than its own, and none of them changed the struct.
  bytes.writeUInt32LE(4, at.version);
  bytes.writeUInt32LE(bytes.length, at.data_size);
  bytes.writeUInt32LE(DM_IOCTL_SIZE, at.data_start);
  bytes.writeUInt32LE(header.targetCount ?? 0, at.target_count);
  bytes.writeUInt32LE(header.flags ?? 0, at.flags);
  bytes.writeUInt32LE(header.eventNumber ?? 0, at.event_nr);
  if (header.key && "devnum" in header.key) {
    bytes.writeBigUInt64LE(deviceOf(header.key.devnum), at.dev);
  } else if (header.key) {
    writeString(bytes, header.key.name, at.name, DM_NAME_LEN);
  }
  writeString(bytes, header.uuid ?? "", at.uuid, DM_UUID_LEN);
  bytes.set(payload, DM_IOCTL_SIZE);
  return bytes;
}

export function decodeDmStatus(bytes: Buffer): DmStatus {
  const at = dmIoctlOffsets;
  return {
    name: readString(bytes, at.name, at.name + DM_NAME_LEN) as DmName,
    uuid: readString(bytes, at.uuid, at.uuid + DM_UUID_LEN),
    devnum: devnum(bytes.readBigUInt64LE(at.dev)),
    flags: bytes.readUInt32LE(at.flags),
    openCount: bytes.readInt32LE(at.open_count),
    eventNumber: bytes.readUInt32LE(at.event_nr),
    targetCount: bytes.readUInt32LE(at.target_count),
  };
}

/** "4.48.0": the interface's version, which the kernel fills in whatever it thinks of the rest. */
export function decodeDmVersion(bytes: Buffer): readonly [major: number, minor: number, patch: number] {
  return [bytes.readUInt32LE(0), bytes.readUInt32LE(4), bytes.readUInt32LE(8)];
}

/** The kernel's answer after the struct. */
export function dmData(bytes: Buffer): Buffer {
  const at = dmIoctlOffsets;
  const start = bytes.readUInt32LE(at.data_start);
  return bytes.subarray(start, Math.max(start, bytes.readUInt32LE(at.data_size)));
}

/** One line of a table, or of the status of one. */
export interface DmTarget {
  start: Sectors;
  length: Sectors;
  type: string;
  params: string;
}

/** The targets of DM_TABLE_LOAD: each `next` counts from its own spec. */
export function encodeTargets(targets: readonly DmTarget[]): Buffer {
  const at = dmTargetSpecOffsets;
  const sizes = targets.map(({ params }) => align(DM_TARGET_SPEC_SIZE + Buffer.byteLength(params) + 1));
  const bytes = Buffer.alloc(sizes.reduce((sum, size) => sum + size, 0));
  let spec = 0;
  targets.forEach(({ start, length, type, params }, index) => {
    const size = sizes[index] ?? 0;
    bytes.writeBigUInt64LE(BigInt(start), spec + at.sector_start);
    bytes.writeBigUInt64LE(BigInt(length), spec + at.length);
    bytes.writeUInt32LE(size, spec + at.next);
    writeString(bytes, type, spec + at.target_type, DM_MAX_TYPE_NAME);
    writeString(bytes, params, spec + DM_TARGET_SPEC_SIZE, size - DM_TARGET_SPEC_SIZE);
    spec += size;
  });
  return bytes;
}

/** The targets of DM_TABLE_STATUS: each `next` counts from the first spec. */
export function decodeTargets(data: Buffer, count: number): DmTarget[] {
  const at = dmTargetSpecOffsets;
  const targets: DmTarget[] = [];
  let spec = 0;
  // An inactive table that went in the meantime leaves a count without data.
  while (targets.length < count && spec + DM_TARGET_SPEC_SIZE <= data.length) {
    const type = spec + at.target_type;
    targets.push({
      start: Number(data.readBigUInt64LE(spec + at.sector_start)) as Sectors,
      length: Number(data.readBigUInt64LE(spec + at.length)) as Sectors,
      type: readString(data, type, type + DM_MAX_TYPE_NAME),
      params: readString(data, spec + DM_TARGET_SPEC_SIZE, data.length),
    });
    spec = data.readUInt32LE(spec + at.next);
  }
  return targets;
}

/** The list of DM_LIST_DEVICES: each `next` counts from its own entry. */
export function decodeNames(data: Buffer): { name: DmName; devnum: Devnum }[] {
  const at = dmNameListOffsets;
  const names: { name: DmName; devnum: Devnum }[] = [];
  for (let entry = 0; entry + at.name < data.length; ) {
    const device = data.readBigUInt64LE(entry + at.dev);
    if (device === 0n) {
      break; // How the kernel says that there is none.
    }
    names.push({ name: readString(data, entry + at.name, data.length) as DmName, devnum: devnum(device) });
    const next = data.readUInt32LE(entry + at.next);
    if (next === 0) {
      break;
    }
    entry += next;
  }
  return names;
}

/** The devices of DM_TABLE_DEPS. */
export function decodeDependencies(data: Buffer): Devnum[] {
  const at = dmTargetDepsOffsets;
  const count = data.length < at.dev ? 0 : data.readUInt32LE(at.count);
  return Array.from({ length: count }, (_, index) => devnum(data.readBigUInt64LE(at.dev + index * 8)));
}

/** A kind of target and its driver's version, such as "1.4.0". */
export interface DmTargetVersion {
  name: string;
  version: string;
}

/** The list of DM_LIST_VERSIONS: each `next` counts from its own entry. */
export function decodeVersions(data: Buffer): DmTargetVersion[] {
  const at = dmTargetVersionsOffsets;
  const versions: DmTargetVersion[] = [];
  for (let entry = 0; entry + at.name < data.length; ) {
    const version = [0, 4, 8].map((part) => data.readUInt32LE(entry + at.version + part)).join(".");
    versions.push({ name: readString(data, entry + at.name, data.length), version });
    const next = data.readUInt32LE(entry + at.next);
    if (next === 0) {
      break;
    }
    entry += next;
  }
  return versions;
}

/** A `struct dm_target_msg` for the target at a sector. */
export function encodeMessage(sector: Sectors, message: string): Buffer {
  const at = dmTargetMsgOffsets;
  const bytes = Buffer.alloc(at.message + Buffer.byteLength(message) + 1);
  bytes.writeBigUInt64LE(BigInt(sector), at.sector);
  writeString(bytes, message, at.message, bytes.length - at.message);
  return bytes;
}

/** A string with its terminating NUL, as DM_DEV_RENAME and a message's reply have it. */
export function encodeString(value: string): Buffer {
  return Buffer.from(`${value}\0`);
}

export function decodeString(data: Buffer): string {
  return readString(data, 0, data.length);
}

function align(size: number): number {
  return Math.ceil(size / ALIGNMENT) * ALIGNMENT;
}

function writeString(bytes: Buffer, value: string, offset: number, room: number): void {
  // Engines check lengths before; cutting a name short would make it another device's.
  if (value.includes("\0") || Buffer.byteLength(value) >= room) {
    throw new RangeError("a string doesn't fit into its field");
  }
  bytes.write(value, offset, "utf8");
}

function readString(bytes: Buffer, start: number, limit: number): string {
  const end = bytes.indexOf(0, start);
  return bytes.toString("utf8", start, end < 0 || end > limit ? limit : end);
}
