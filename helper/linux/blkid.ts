/*
 * libblkid, the library that blkid, lsblk and udev tell the content of a device by: its low-level prober, <blkid.h>.
 * Loaded on first use, so that a machine without it loses nothing but what this file is for.
 */
import koffi from "koffi";
import { errnoName, KernelError } from "./errno";
import type { OpenFile } from "./file";
import { whenRoom } from "./room";
import { mayWait } from "./thread";

const LIBRARY = "libblkid.so.1";

const BLKID_SUBLKS_LABEL = 1 << 1;
const BLKID_SUBLKS_UUID = 1 << 3;
const BLKID_SUBLKS_TYPE = 1 << 5;
const BLKID_SUBLKS_USAGE = 1 << 7;
const SUPERBLOCK_FLAGS = BLKID_SUBLKS_LABEL | BLKID_SUBLKS_UUID | BLKID_SUBLKS_TYPE | BLKID_SUBLKS_USAGE;

const BLKID_FLTR_NOTIN = 1;

// What blkid_do_safeprobe returns besides 0 for something found.
const NOTHING = 1;
const AMBIVALENT = -2;

// The unit of libblkid's partition offsets, whatever the device's own sectors are.
const BLKID_SECTOR = 512;

// Pointers are numbers: koffi's objects for them would be most of what a probe leaves to the garbage collector.
function declareFunctions() {
  const library = koffi.load(LIBRARY);
  return {
    blkid_new_probe: library.func("uintptr_t blkid_new_probe(void)"),
    blkid_free_probe: library.func("void blkid_free_probe(uintptr_t probe)"),
    blkid_reset_probe: library.func("void blkid_reset_probe(uintptr_t probe)"),
    blkid_probe_set_device: library.func(
      "int blkid_probe_set_device(uintptr_t probe, int fd, int64_t offset, int64_t size)",
    ),
    blkid_probe_set_sectorsize: library.func("int blkid_probe_set_sectorsize(uintptr_t probe, unsigned int size)"),
    blkid_probe_enable_superblocks: library.func("int blkid_probe_enable_superblocks(uintptr_t probe, int enable)"),
    blkid_probe_set_superblocks_flags: library.func(
      "int blkid_probe_set_superblocks_flags(uintptr_t probe, int flags)",
    ),
    blkid_probe_filter_superblocks_type: library.func(
      "int blkid_probe_filter_superblocks_type(uintptr_t probe, int flag, const char **names)",
    ),
    blkid_probe_enable_partitions: library.func("int blkid_probe_enable_partitions(uintptr_t probe, int enable)"),
    blkid_do_safeprobe: library.func("int blkid_do_safeprobe(uintptr_t probe)"),
    blkid_probe_lookup_value: library.func(
      "int blkid_probe_lookup_value(uintptr_t probe, const char *name, _Out_ const char **data, _Out_ size_t *length)",
    ),
    blkid_probe_get_partitions: library.func("uintptr_t blkid_probe_get_partitions(uintptr_t probe)"),
    blkid_partlist_numof_partitions: library.func("int blkid_partlist_numof_partitions(uintptr_t list)"),
    blkid_partlist_get_partition: library.func("uintptr_t blkid_partlist_get_partition(uintptr_t list, int index)"),
    blkid_partlist_get_table: library.func("uintptr_t blkid_partlist_get_table(uintptr_t list)"),
    blkid_parttable_get_type: library.func("const char *blkid_parttable_get_type(uintptr_t table)"),
    blkid_parttable_get_id: library.func("const char *blkid_parttable_get_id(uintptr_t table)"),
    blkid_partition_get_partno: library.func("int blkid_partition_get_partno(uintptr_t partition)"),
    blkid_partition_get_start: library.func("int64_t blkid_partition_get_start(uintptr_t partition)"),
    blkid_partition_get_size: library.func("int64_t blkid_partition_get_size(uintptr_t partition)"),
    blkid_partition_get_type: library.func("int blkid_partition_get_type(uintptr_t partition)"),
    blkid_partition_get_type_string: library.func("const char *blkid_partition_get_type_string(uintptr_t partition)"),
    blkid_partition_get_uuid: library.func("const char *blkid_partition_get_uuid(uintptr_t partition)"),
    blkid_partition_get_name: library.func("const char *blkid_partition_get_name(uintptr_t partition)"),
    blkid_partition_is_extended: library.func("int blkid_partition_is_extended(uintptr_t partition)"),
    blkid_partition_is_logical: library.func("int blkid_partition_is_logical(uintptr_t partition)"),
  };
}

type Functions = ReturnType<typeof declareFunctions>;
let functions: Functions | undefined;

// Tried anew after a failure: whoever installs the library need not start the helper again.
function library(): Functions {
  try {
    functions ??= declareFunctions();
    return functions;
  } catch {
    throw new KernelError("ELIBACC", "dlopen", LIBRARY);
  }
}

/** What a superblock says. `usage` is one of libblkid's: "filesystem", "raid", "crypto", "other". */
export interface Superblock {
  type: string;
  usage: string;
  label: string;
  uuid: string;
}

/** A partition as a table describes it; start and size in bytes, the start counted from the start of the range. */
export interface TablePartition {
  number: number;
  start: number;
  size: number;
  /** As libblkid and lsblk write it: a GUID in lower case, "0x83". */
  type: string;
  uuid: string;
  name: string;
  /** An extended partition of an MBR has its real size here, though the kernel shows its first sectors alone. */
  role: "primary" | "extended" | "logical";
}

/** A partition table that libblkid found. */
export interface FoundTable {
  type: string;
  uuid: string;
  partitions: TablePartition[];
}

/** All that libblkid found. A device can have both: a hybrid ISO is a file system and a partitioned disk. */
export interface BlkidResult {
  superblock: Superblock | undefined;
  table: FoundTable | undefined;
  /** More than one superblock was found and none can be preferred; then `superblock` is not given. */
  ambivalent: boolean;
}

/** A part of a file; bytes. `sectorSize` is the logical sector size that partition tables count in. */
export interface BlkidRange {
  offset: number;
  size: number;
  sectorSize: number;
}

// libblkid seeks before it reads (it does not use pread), so that two probes of one descriptor would disturb each
// other: the later waits for the earlier.
const turns = new WeakMap<OpenFile, Promise<unknown>>();

/**
 * Looks for superblocks and partition tables in a part of a file or device.
 *
 * @param range has to lie within the file, and may not be empty
 * @param without libblkid's names of superblocks that it surely has none of
 * @throws KernelError ELIBACC where the library isn't installed, EIO and others where the file can't be read
 */
export function probeRange(file: OpenFile, range: BlkidRange, without?: readonly string[]): Promise<BlkidResult> {
  const blkid = library();
  const now = () => probeNow(blkid, file, range, without);
  const turn = turns.get(file)?.then(now, now) ?? now();
  turns.set(file, turn);
  const done = () => {
    if (turns.get(file) === turn) {
      turns.delete(file);
    }
  };
  turn.then(done, done);
  return turn;
}

async function probeNow(
  blkid: Functions,
  file: OpenFile,
  range: BlkidRange,
  without: readonly string[] = [],
): Promise<BlkidResult> {
  const probe: unknown = blkid.blkid_new_probe();
  if (!probe) {
    throw new KernelError("ENOMEM", "blkid_new_probe", file.path);
  }
  try {
    if (blkid.blkid_probe_set_device(probe, file.fd, range.offset, range.size) !== 0) {
      throw failure("blkid_probe_set_device", file);
    }
    // Only after the device, which resets it.
    blkid.blkid_probe_set_sectorsize(probe, range.sectorSize);
    blkid.blkid_probe_enable_superblocks(probe, 1);
    blkid.blkid_probe_set_superblocks_flags(probe, SUPERBLOCK_FLAGS);
    if (without.length > 0) {
      blkid.blkid_probe_filter_superblocks_type(probe, BLKID_FLTR_NOTIN, [...without, null]);
    }
    blkid.blkid_probe_enable_partitions(probe, 1);
    let outcome = await safeprobe(blkid, probe, file);
    const ambivalent = outcome === AMBIVALENT;
    if (ambivalent) {
      // It stops at the first ambivalence, before it has looked for a partition table.
      blkid.blkid_probe_enable_superblocks(probe, 0);
      blkid.blkid_reset_probe(probe);
      outcome = await safeprobe(blkid, probe, file);
    }
    if (outcome !== 0) {
      return { superblock: undefined, table: undefined, ambivalent };
    }
    const value = (name: string) => lookup(blkid, probe, name);
    const type = value("TYPE");
    const superblock =
      type === "" ? undefined : { type, usage: value("USAGE"), label: value("LABEL"), uuid: value("UUID") };
    // Asking for the list looks for tables once more, also where the superblock says that there can be none (the
    // members of a RAID mirror show the table that is within), so the value comes first.
    const tableType = value("PTTYPE");
    return {
      superblock,
      table: tableType === "" ? undefined : await readTable(blkid, probe, tableType, value("PTUUID")),
      ambivalent,
    };
  } finally {
    blkid.blkid_free_probe(probe);
  }
}

function failure(call: string, file: OpenFile): KernelError {
  const number = koffi.errno();
  // libblkid also fails without a call of its own having failed, and errno is then as it was.
  return new KernelError(number === 0 ? "EIO" : errnoName(number), call, file.path);
}

async function safeprobe(blkid: Functions, probe: unknown, file: OpenFile): Promise<number> {
  if (mayWait) {
    return outcomeOf(blkid.blkid_do_safeprobe(probe), file);
  }
  return await whenRoom(
    () =>
      new Promise((resolve, reject) => {
        blkid.blkid_do_safeprobe.async(probe, (error: unknown, returned: unknown) => {
          try {
            if (error) {
              throw error;
            }
            // errno is still the call's own only within this callback.
            resolve(outcomeOf(returned, file));
          } catch (error) {
            reject(error);
          }
        });
      }),
  );
}

function outcomeOf(returned: unknown, file: OpenFile): number {
  const outcome = Number(returned);
  if (outcome !== 0 && outcome !== NOTHING && outcome !== AMBIVALENT) {
    throw failure("blkid_do_safeprobe", file);
  }
  return outcome;
}

async function readTable(blkid: Functions, probe: unknown, type: string, uuid: string): Promise<FoundTable> {
  // All of a GPT was read to check it, and the probe still has it. The tables of an MBR's logical partitions are
  // scattered over the disk, and are only read now.
  const list: unknown =
    type === "gpt" || mayWait ? blkid.blkid_probe_get_partitions(probe) : await listPatiently(blkid, probe);
  const partitions: TablePartition[] = [];
  const count = list ? Number(blkid.blkid_partlist_numof_partitions(list)) : 0;
  for (let index = 0; index < count; index++) {
    const partition: unknown = blkid.blkid_partlist_get_partition(list, index);
    const start = Number(blkid.blkid_partition_get_start(partition)) * BLKID_SECTOR;
    const size = Number(blkid.blkid_partition_get_size(partition)) * BLKID_SECTOR;
    // A table that was tampered with can name places past all that a disk can have.
    if (!Number.isSafeInteger(start + size) || start < 0 || size < 0) {
      continue;
    }
    partitions.push({
      number: Number(blkid.blkid_partition_get_partno(partition)),
      start,
      size,
      type: typeOf(blkid, partition),
      uuid: clean(blkid.blkid_partition_get_uuid(partition)),
      name: clean(blkid.blkid_partition_get_name(partition)),
      role: type === "gpt" ? "primary" : roleOf(blkid, partition),
    });
  }
  return { type, uuid, partitions: partitions.sort((a, b) => a.number - b.number) };
}

function listPatiently(blkid: Functions, probe: unknown): Promise<unknown> {
  return whenRoom(
    () =>
      new Promise((resolve, reject) => {
        blkid.blkid_probe_get_partitions.async(probe, (error: unknown, found: unknown) =>
          error ? reject(error) : resolve(found),
        );
      }),
  );
}

// Only tables with types of more than one byte have them as text (GPT, Mac).
function typeOf(blkid: Functions, partition: unknown): string {
  const text = clean(blkid.blkid_partition_get_type_string(partition));
  return text || `0x${Number(blkid.blkid_partition_get_type(partition)).toString(16)}`;
}

function roleOf(blkid: Functions, partition: unknown): TablePartition["role"] {
  if (blkid.blkid_partition_is_extended(partition)) {
    return "extended";
  }
  return blkid.blkid_partition_is_logical(partition) ? "logical" : "primary";
}

function lookup(blkid: Functions, probe: unknown, name: string): string {
  const data: [unknown] = [null];
  const length: [unknown] = [0];
  return blkid.blkid_probe_lookup_value(probe, name, data, length) === 0 ? clean(data[0]) : "";
}

/** A text out of an image, which anybody may have written: no control characters, no trailing blanks. */
function clean(value: unknown): string {
  return typeof value === "string" ? value.replace(/\p{Cc}/gu, "\uFFFD").trimEnd() : "";
}
