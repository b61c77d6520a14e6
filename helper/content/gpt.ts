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
  return sectorSizeOfGpt(file, offset) ?? 512;
}

/** As `probeSectorSize`; `undefined` where there is no GPT. */
export function sectorSizeOfGpt(file: OpenFile, offset: number): number | undefined {
  const start = readAtOnce(file, offset, 4096 + HEADER_SIZE);
  const found = [512, 1024, 2048, 4096].filter((size) => looksLikeHeader(start.subarray(size)));
  if (found.length > 1) {
    throw new Problem(
      "invalid",
      `${file.path} has partition tables for sectors of ${found.join(" and ")} bytes. Say which sector size to use.`,
    );
  }
  return found[0];
}

/**
 * Looks at both copies of a GPT, checksums included.
 *
 * @param range bytes; the disk's start and size within the file
 * @param inMemory whether libblkid has just read the primary
 * @throws KernelError where the file can't be read
 */
export async function gptFaults(
  file: OpenFile,
  range: { offset: number; size: number; sectorSize: number },
  inMemory: boolean,
): Promise<GptFaults> {
  const lastLba = Math.floor(range.size / range.sectorSize) - 1;
  const readPrimary: Reader = inMemory
    ? (position, length) => readAtOnce(file, position, length)
    : readerAround(file, { after: USUAL_ENTRY_BYTES });
  const primary = await readCopy(range, 1, readPrimary);
  // The backup is where the primary says, which is not the end of an image that has grown since.
  const backup = await readCopy(
    range,
    primary?.sound ? primary.otherLba : lastLba,
    readerAround(file, { before: USUAL_ENTRY_BYTES }),
  );
  const tableSize = primary ? (primary.otherLba + 1) * range.sectorSize : 0;
  const cutShort = tableSize > range.size && Number.isSafeInteger(tableSize) ? { tableSize } : {};
  if (primary?.sound && backup?.sound) {
    return cutShort;
  }
  return { ...cutShort, damaged: primary?.sound ? "backup" : backup?.sound ? "primary" : "both" };
}

type Reader = (position: number, length: number) => Buffer | Promise<Buffer>;

/** Reads with a header what everybody has next to it: its entries. */
function readerAround(file: OpenFile, { before = 0, after = 0 }): Reader {
  let start = 0;
  let bytes: Buffer = Buffer.alloc(0);
  return async (position, length) => {
    if (position < start || position + length > start + bytes.length) {
      start = Math.max(0, position - before);
      bytes = await readAt(file, start, position + length + after - start);
    }
    return bytes.subarray(position - start, position - start + length);
  };
}

/** One copy if its header is whole; sound if it can be used. */
async function readCopy(
  range: { offset: number; size: number; sectorSize: number },
  lba: number,
  read: Reader,
): Promise<{ otherLba: number; sound: boolean } | undefined> {
  const { offset, size, sectorSize } = range;
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
  // An image that was cut off: neither libblkid nor the kernel takes a table whose disk would have to be larger.
  if ((lbaAt(at.lastUsableLba) + 1) * sectorSize > size) {
    return { otherLba, sound: false };
  }
  const entries = lbaAt(at.entriesLba) * sectorSize;
  const length = header.readUInt32LE(at.entryCount) * header.readUInt32LE(at.entrySize);
  if (length > MOST_ENTRY_BYTES || entries + length > size) {
    return { otherLba, sound: false };
  }
  const table = await read(offset + entries, length);
  return { otherLba, sound: table.length === length && crc32(table) === header.readUInt32LE(at.entriesCrc) };
}
