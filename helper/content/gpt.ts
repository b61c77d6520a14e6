/*
 * The two copies of a GUID partition table, UEFI specification 2.10 chapter 5.3. libblkid reads the table for us and
 * takes the backup where the primary is damaged, but keeps to itself that it did.
 */
import { crc32 } from "node:zlib";
import type { OpenFile } from "../linux/file";
import { Problem } from "../problem";
import { readAt, readAtOnce } from "./read";

const SIGNATURE = Buffer.from("EFI PART", "latin1");
const REVISION_1_0 = 0x00010000;
const HEADER_SIZE = 92;
const at = {
  revision: 8,
  headerSize: 12,
  headerCrc: 16,
  ownLba: 24,
  otherLba: 32,
  lastUsableLba: 48,
  entriesLba: 72,
  entryCount: 80,
  entrySize: 84,
  entriesCrc: 88,
} as const;

const ENTRY_SIZE = 128;
const entryAt = { firstLba: 32, lastLba: 40 } as const;

const LARGEST_SECTOR = 4096;
// 128 entries of 128 bytes, as everybody writes them.
const USUAL_ENTRY_BYTES = 16 * 1024;
// Room for 128 times the 128 entries that everybody writes: who asks for more only wants to keep us reading.
const MOST_ENTRY_BYTES = 2 * 1024 * 1024;

/** Which copies of the table can't be used. */
export type GptDamage = "primary" | "backup" | "both";

/** What is to be said of a table. */
export interface GptFaults {
  damaged?: GptDamage;
  /** Bytes of the disk that the table is for, where there are fewer. */
  tableSize?: number;
}

function looksLikeHeader(bytes: Buffer): boolean {
  return (
    bytes.length >= HEADER_SIZE &&
    bytes.subarray(0, SIGNATURE.length).equals(SIGNATURE) &&
    bytes.readUInt32LE(at.revision) === REVISION_1_0 &&
    bytes.readUInt32LE(at.headerSize) >= HEADER_SIZE
  );
}

/**
 * The sector size that a GPT was written for, in bytes, by the place of its header; 512 where there is no GPT.
 *
 * @param offset bytes of the file before the disk's own start
 * @throws Problem invalid where there is more than one header, as after a conversion that left the old one behind
 */
export function probeSectorSize(file: OpenFile, offset: number): number {
  return sectorSizeOfGpt(file, readAtOnce(file, offset, LARGEST_SECTOR + HEADER_SIZE)) ?? 512;
}

/** What an image that has a GPT begins with: mostly all of the table's primary copy. */
export interface GptStart {
  sectorSize: number;
  bytes: Buffer;
}

/** As `probeSectorSize`; `undefined` where there is no GPT. */
export function startOfGpt(file: OpenFile, offset: number): GptStart | undefined {
  const bytes = readAtOnce(file, offset, 2 * LARGEST_SECTOR + USUAL_ENTRY_BYTES);
  const sectorSize = sectorSizeOfGpt(file, bytes);
  return sectorSize === undefined ? undefined : { sectorSize, bytes };
}

function sectorSizeOfGpt(file: OpenFile, start: Buffer): number | undefined {
  const found = [512, 1024, 2048, 4096].filter((size) => looksLikeHeader(start.subarray(size)));
  if (found.length > 1) {
    throw new Problem(
      "invalid",
      `${file.path} has partition tables for sectors of ${found.join(" and ")} bytes. Say which sector size to use.`,
    );
  }
  return found[0];
}

/** The place of a disk within a file; bytes. */
interface Disk {
  offset: number;
  size: number;
  sectorSize: number;
}

/** A copy of the table whose header is whole. */
export interface GptCopy {
  otherLba: number;
  /** Its entries, each of `entrySize` bytes, where it can be used. */
  entries: Buffer | undefined;
  entrySize: number;
}

/**
 * The primary copy, checksums included.
 *
 * @param start what the disk begins with, where that was read; else libblkid must just have read it
 * @throws KernelError where the file can't be read
 */
export function primaryOf(file: OpenFile, disk: Disk, start?: Buffer): Promise<GptCopy | undefined> {
  const read: Reader = start
    ? readerAround(file, { after: USUAL_ENTRY_BYTES, start: disk.offset, bytes: start })
    : (position, length) => readAtOnce(file, position, length);
  return readCopy(disk, 1, read);
}

/**
 * Looks at both copies of a GPT, checksums included.
 *
 * @throws KernelError where the file can't be read
 */
export async function gptFaults(file: OpenFile, disk: Disk, primary: GptCopy | undefined): Promise<GptFaults> {
  const lastLba = Math.floor(disk.size / disk.sectorSize) - 1;
  // The backup is where the primary says, which is not the end of an image that has grown since.
  const backup = await readCopy(
    disk,
    primary?.entries ? primary.otherLba : lastLba,
    readerAround(file, { before: USUAL_ENTRY_BYTES }),
  );
  const tableSize = primary ? (primary.otherLba + 1) * disk.sectorSize : 0;
  const cutShort = tableSize > disk.size && Number.isSafeInteger(tableSize) ? { tableSize } : {};
  if (primary?.entries && backup?.entries) {
    return cutShort;
  }
  return { ...cutShort, damaged: primary?.entries ? "backup" : backup?.entries ? "primary" : "both" };
}

/**
 * Where a table has partitions within its disk, as places in the file: to look at them before libblkid, whose word it is,
 * has told of them.
 */
export function likelyParts(disk: Disk, { entries, entrySize }: GptCopy, most: number): Disk[] {
  const parts: Disk[] = [];
  if (!entries || entrySize < ENTRY_SIZE) {
    return parts;
  }
  // No disk has more than 48 bits can count, and most entries are empty.
  const place = (at: number) => entries.readUIntLE(at, 6) * disk.sectorSize;
  for (let entry = 0; entry + entrySize <= entries.length && parts.length < most; entry += entrySize) {
    const start = place(entry + entryAt.firstLba);
    if (start === 0) {
      continue;
    }
    const end = place(entry + entryAt.lastLba) + disk.sectorSize;
    if (start < end && end <= disk.size) {
      parts.push({ offset: disk.offset + start, size: end - start, sectorSize: disk.sectorSize });
    }
  }
  return parts;
}

type Reader = (position: number, length: number) => Buffer | Promise<Buffer>;

/** Reads with a header what everybody has next to it: its entries. */
function readerAround(file: OpenFile, { before = 0, after = 0, start = 0, bytes = Buffer.alloc(0) as Buffer }): Reader {
  return async (position, length) => {
    if (position < start || position + length > start + bytes.length) {
      start = Math.max(0, position - before);
      bytes = await readAt(file, start, position + length + after - start);
    }
    return bytes.subarray(position - start, position - start + length);
  };
}

async function readCopy({ offset, size, sectorSize }: Disk, lba: number, read: Reader): Promise<GptCopy | undefined> {
  if (lba < 1 || (lba + 1) * sectorSize > size) {
    return undefined;
  }
  const sector = await read(offset + lba * sectorSize, sectorSize);
  if (!looksLikeHeader(sector)) {
    return undefined;
  }
  const headerSize = sector.readUInt32LE(at.headerSize);
  if (headerSize > sector.length) {
    return undefined;
  }
  const header = Buffer.from(sector.subarray(0, headerSize));
  const headerCrc = header.readUInt32LE(at.headerCrc);
  // The checksum is taken with its own place as zero.
  header.writeUInt32LE(0, at.headerCrc);
  const lbaAt = (place: number) => Number(header.readBigUInt64LE(place));
  if (crc32(header) !== headerCrc || lbaAt(at.ownLba) !== lba) {
    return undefined;
  }
  const otherLba = lbaAt(at.otherLba);
  const entrySize = header.readUInt32LE(at.entrySize);
  const unusable = { otherLba, entries: undefined, entrySize };
  // An image that was cut off: neither libblkid nor the kernel takes a table whose disk would have to be larger.
  if ((lbaAt(at.lastUsableLba) + 1) * sectorSize > size) {
    return unusable;
  }
  const entries = lbaAt(at.entriesLba) * sectorSize;
  const length = header.readUInt32LE(at.entryCount) * entrySize;
  if (length > MOST_ENTRY_BYTES || entries + length > size) {
    return unusable;
  }
  const table = await read(offset + entries, length);
  const sound = table.length === length && crc32(table) === header.readUInt32LE(at.entriesCrc);
  return sound ? { ...unusable, entries: table } : unusable;
}
