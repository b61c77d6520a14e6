/* What is on a device, a partition or an image. */
import { type BlkidRange, type BlkidResult, type FoundTable, probeRange, type Superblock } from "../linux/blkid";
import { isErrno, KernelError } from "../linux/errno";
import type { OpenFile } from "../linux/file";
import { mayWait } from "../linux/thread";
import { Problem } from "../problem";
import type { Content } from "../protocol";
import { type GptFaults, gptFaults, primaryOf } from "./gpt";
import { isHole } from "./hole";
import { readInto, sizeOf } from "./read";
import { sizeBySuperblock } from "./size";
import { isSurelyNoZfs } from "./zfs";

export { probeSectorSize } from "./gpt";

/**
 * A partition table; all places in bytes from the start of the range that was probed. Where a copy of a GPT is damaged,
 * the partitions are those of the other; none where both are.
 */
export type PartitionTable = FoundTable & GptFaults;

/** What `probe` found. */
export interface Probed {
  content: Content;
  table: PartitionTable | undefined;
}

/** A part of a file in bytes; sectors are of 512 bytes unless it says otherwise. */
export interface ProbeRange {
  offset: number;
  size: number;
  sectorSize?: number;
}

/** What is said of content that can't be read, or is nothing that libblkid knows. */
export const unknownContent: Content = { kind: "other", type: "", label: "", uuid: "" };
/** Of what reads as zeros wherever something could stand. */
export const noContent: Content = { kind: "empty", type: "", label: "", uuid: "" };
/** More than one file system has left its mark; `wipefs` tells which. */
const ambivalentContent: Content = { kind: "other", type: "ambivalent", label: "", uuid: "" };

/**
 * Tells what is in a part of a file or device, as blkid and lsblk do: where there is both a file system and a
 * partition table (a hybrid ISO), the content is the file system, and the table is given all the same.
 *
 * A range that reaches past the end of the file is probed as far as there is something.
 *
 * @param meanwhile looks at a GPT that is there, while libblkid reads
 * @throws Problem unsupported where libblkid isn't installed
 * @throws KernelError where the file can't be read
 */
export async function probe(
  file: OpenFile,
  { offset, size, sectorSize = 512 }: ProbeRange,
  meanwhile?: () => Promise<GptFaults>,
): Promise<Probed> {
  const stat = file.stat();
  const present = Math.min(size, sizeOf(file, stat) - offset);
  if (present <= 0) {
    return { content: size > 0 ? unknownContent : noContent, table: undefined };
  }
  if (mayWait && stat.isFile() && isHole(file, offset, present)) {
    return { content: noContent, table: undefined };
  }
  const range = { offset, size: present, sectorSize };
  // Only on a disk with a table is looking for ZFS what takes longest.
  const searching = search(file, range, meanwhile && isSurelyNoZfs(file, range) ? ["zfs_member"] : []);
  const faults = meanwhile?.();
  // Whoever gave us the file may close it as soon as we fail.
  const found = await searching.finally(() => faults?.catch(() => {}));
  const table: PartitionTable | undefined = found.table && (await examined(file, range, found.table, faults));
  if (found.superblock) {
    const fullSize = sizeBySuperblock(file, offset, found.superblock.type);
    return { content: { ...contentOf(found.superblock), ...(fullSize > present && { fullSize }) }, table };
  }
  if (found.ambivalent) {
    return { content: ambivalentContent, table };
  }
  if (table) {
    return { content: { kind: "partitionTable", type: table.type, label: "", uuid: table.uuid }, table };
  }
  return { content: (await isBlank(file, range)) ? noContent : unknownContent, table };
}

/**
 * As `probe`, for one part among others: content that can't be told is unknown, and no reason to tell nothing of the
 * rest.
 */
export async function contentAt(file: OpenFile, range: ProbeRange): Promise<Content> {
  try {
    return (await probe(file, range)).content;
  } catch (error) {
    if (error instanceof Problem || error instanceof KernelError) {
      return unknownContent;
    }
    throw error;
  }
}

async function search(file: OpenFile, range: BlkidRange, without: readonly string[]): Promise<BlkidResult> {
  try {
    return await probeRange(file, range, without);
  } catch (error) {
    if (isErrno(error, "ELIBACC")) {
      throw Problem.of(
        "unsupported",
        "What is on a device can't be told, as libblkid is missing. Install the package libblkid1 (Debian, Ubuntu, " +
          "openSUSE), libblkid (Fedora, Alpine) or util-linux-libs (Arch).",
        error,
      );
    }
    throw error;
  }
}

async function examined(
  file: OpenFile,
  range: Required<ProbeRange>,
  table: FoundTable,
  begun: Promise<GptFaults> | undefined,
): Promise<PartitionTable> {
  // libblkid's word for a protective MBR whose GPT it could not use.
  if (table.type === "gpt" || table.type === "PMBR") {
    const faults = await (begun ?? primaryOf(file, range).then((primary) => gptFaults(file, range, primary)));
    return { ...table, ...faults, type: faults.damaged ? "gpt" : table.type };
  }
  const tableSize = table.type === "dos" ? Math.max(0, ...table.partitions.map(({ start, size }) => start + size)) : 0;
  return tableSize > range.size ? { ...table, tableSize } : table;
}

/** What is to be said of a device's or image's partition table, as the protocol has it. */
export function tableFaults(table: PartitionTable | undefined): GptFaults {
  const { damaged, tableSize } = table ?? {};
  return { ...(damaged && { damaged }), ...(tableSize !== undefined && { tableSize }) };
}

function contentOf({ type, usage, label, uuid }: Superblock): Content {
  const kind = usage === "filesystem" || usage === "raid" || usage === "crypto" ? usage : "other";
  return { kind, type, label, uuid };
}

// Where everything that marks a file system, a RAID or a table stands.
const TELLING = 64 * 1024;
const zeros = Buffer.alloc(TELLING);

// Buffers that nobody reads into right now: new ones for every device would be most of what a list takes.
const spare: Buffer[] = [];

async function isBlank(file: OpenFile, { offset, size }: Required<ProbeRange>): Promise<boolean> {
  const length = Math.min(TELLING, size);
  const buffer = spare.pop() ?? Buffer.alloc(TELLING);
  try {
    for (const position of [offset, offset + size - length]) {
      const bytes = await readInto(file, buffer.subarray(0, length), position);
      if (!bytes.equals(zeros.subarray(0, bytes.length))) {
        return false;
      }
    }
    return true;
  } finally {
    spare.push(buffer);
  }
}
