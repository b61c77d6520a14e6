/*
 * The contract between the extension and the helper: JSON-RPC 2.0 over the helper's stdin and stdout, framed with
 * Content-Length headers. All that goes over the wire is described here, as schemas that check it and the types that
 * follow from them. Sizes and offsets are bytes, except where a name says sectors (of 512 bytes).
 *
 * Params are strict: a field that isn't known is refused. Results are open, so that a later helper can say more.
 */
import * as v from "valibot";

export { DEVICES_CHANGED, LOG_MESSAGE, PROBLEM_CODE } from "./codes";

const bytes = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const count = bytes;
const text = v.pipe(
  v.string(),
  v.check((value) => !value.includes("\0"), "must not contain a NUL character"),
);
const absolutePath = v.pipe(text, v.startsWith("/", "must be an absolute path"), v.maxBytes(4095));

// ── Devices ────────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * What is on a device or partition. `kind` is "other" with an empty `type` where it could not be read, or is nothing
 * that libblkid knows.
 */
export const Content = v.object({
  kind: v.picklist(["empty", "filesystem", "partitionTable", "raid", "crypto", "other"]),
  type: v.string(),
  label: v.string(),
  uuid: v.string(),
  /** Bytes that a file system has by its own word, where there are fewer: it was cut short. */
  fullSize: v.optional(bytes),
});
export type Content = v.InferOutput<typeof Content>;

export const Mount = v.object({
  target: v.string(),
  fileSystem: v.string(),
  options: v.array(v.string()),
  readOnly: v.boolean(),
  /** Bytes; `available` is what others than root may still write. Left out where it can't be told at once. */
  space: v.optional(v.object({ total: bytes, used: bytes, available: bytes })),
});
export type Mount = v.InferOutput<typeof Mount>;

export const Partition = v.object({
  device: v.string(),
  number: count,
  start: bytes,
  size: bytes,
  type: v.string(),
  uuid: v.string(),
  name: v.string(),
  content: Content,
  mounts: v.array(Mount),
  holders: v.array(v.string()),
});
export type Partition = v.InferOutput<typeof Partition>;

/** What is wrong with the partition table of a device or image. */
const tableFaults = {
  /** Which copies of a GPT can't be used; the backup stands in for the primary. */
  damaged: v.optional(v.picklist(["primary", "backup", "both"])),
  /** Bytes of the disk that the table is for, where there are fewer: it was cut short. */
  tableSize: v.optional(bytes),
};

/** The user for whom a device was set up; left out where another program did it. */
const setUpBy = v.optional(v.object({ uid: count, name: v.string() }));

/** A loop device that is bound to an image. */
export const LoopDevice = v.object({
  kind: v.literal("loop"),
  device: v.string(),
  /** -1 of a block device that is no loop device, but was to be attached whole: it is used as it is. */
  number: v.pipe(v.number(), v.safeInteger(), v.minValue(-1)),
  devnum: v.string(),
  diskSequence: v.nullable(count),
  size: bytes,
  sectorSize: bytes,
  readOnly: v.boolean(),
  backingFile: v.string(),
  backingInode: count,
  backingDevnum: v.string(),
  /** The image was deleted, or another file stands at its path now. */
  backingFileDeleted: v.boolean(),
  offset: bytes,
  /** 0: to the end of the file. */
  sizeLimit: bytes,
  autoclear: v.boolean(),
  partitionScan: v.boolean(),
  directIo: v.boolean(),
  reference: v.string(),
  setUpBy,
  content: Content,
  ...tableFaults,
  partitions: v.array(Partition),
  mounts: v.array(Mount),
  holders: v.array(v.string()),
});
export type LoopDevice = v.InferOutput<typeof LoopDevice>;

export const MapperTarget = v.object({
  startSectors: count,
  lengthSectors: count,
  type: v.string(),
  params: v.string(),
});
export type MapperTarget = v.InferOutput<typeof MapperTarget>;

export const MapperDevice = v.object({
  kind: v.literal("mapper"),
  device: v.string(),
  node: v.string(),
  name: v.string(),
  uuid: v.string(),
  devnum: v.string(),
  diskSequence: v.nullable(count),
  size: bytes,
  readOnly: v.boolean(),
  suspended: v.boolean(),
  openCount: count,
  eventNumber: count,
  hasInactiveTable: v.boolean(),
  table: v.array(MapperTarget),
  /** The numbers of the devices it stands on. */
  dependencies: v.array(v.string()),
  setUpBy,
  content: Content,
  ...tableFaults,
  partitions: v.array(Partition),
  mounts: v.array(Mount),
  holders: v.array(v.string()),
});
export type MapperDevice = v.InferOutput<typeof MapperDevice>;

export const Device = v.variant("kind", [LoopDevice, MapperDevice]);
export type Device = v.InferOutput<typeof Device>;

/** What keeps a device busy. */
export const User = v.variant("kind", [
  v.object({ kind: v.literal("mount"), target: v.string() }),
  v.object({ kind: v.literal("holder"), device: v.string() }),
  v.object({ kind: v.literal("process"), pid: count, command: v.string() }),
]);
export type User = v.InferOutput<typeof User>;

// ── Requests ───────────────────────────────────────────────────────────────────────────────────────────────────────

const loopNode = v.pipe(
  text,
  v.regex(/^\/dev\/loop(0|[1-9]\d{0,6})$/, "must be the node of a loop device, such as /dev/loop3"),
);
const mapperNode = v.pipe(
  text,
  v.regex(
    /^\/dev\/(mapper\/(?!\.{1,2}$)[^/]+|dm-\d{1,7})$/,
    "must be the node of a mapper device, such as /dev/mapper/data",
  ),
);
const partitionNode = v.pipe(
  text,
  v.regex(/^\/dev\/loop(0|[1-9]\d{0,6})p[1-9]\d{0,2}$/, "must be the node of a partition, such as /dev/loop3p1"),
);
const mountable = v.union(
  [loopNode, partitionNode, mapperNode],
  "must be the node of a loop device, one of its partitions, or a mapper device",
);
/** A second name of the device, so that it is not taken for another that has got its node since. */
const diskSequence = v.optional(v.nullable(count));
/** Go ahead although the device was set up by somebody else. */
const confirmForeign = v.optional(v.boolean(), false);
const named = { device: loopNode, diskSequence };
const changed = { ...named, confirmForeign };
/** dm names and uuids have 128 and 129 bytes, a NUL included; what may be in them is the engine's to say. */
const mapperName = v.pipe(text, v.nonEmpty("must not be empty"), v.maxBytes(127, "must be at most 127 bytes long"));
const mapperUuid = v.pipe(text, v.maxBytes(128, "must be at most 128 bytes long"));
/** For LSP's progress notifications, `$/progress`. */
const workDoneToken = v.optional(v.union([v.string(), v.pipe(v.number(), v.safeInteger())]));
const mapped = { device: mapperNode, diskSequence, confirmForeign, workDoneToken };
const blockSize = v.pipe(
  v.number(),
  v.check((size) => [512, 1024, 2048, 4096].includes(size), "must be 512, 1024, 2048 or 4096"),
);
const auto = <T extends v.GenericSchema>(schema: T) => v.union([schema, v.literal("auto")]);
// lo_file_name has 64 bytes, the last of them a NUL.
const reference = v.pipe(text, v.maxBytes(63, "must be at most 63 bytes long"));

/**
 * A line of a table to load. Its params may be a key, so what is wrong with them is said without showing what came.
 */
const TargetToLoad = v.strictObject(
  {
    startSectors: count,
    lengthSectors: v.pipe(count, v.minValue(1, "must be at least 1")),
    type: v.pipe(v.string("must be a string"), v.regex(/^[!-~]{1,15}$/, "must be the name of a target")),
    params: v.pipe(
      v.string("must be a string"),
      v.check((params) => !/[\0\n]/.test(params), "must not contain a line break or a NUL character"),
    ),
  },
  "must be a target: startSectors, lengthSectors, type, params",
);
const tableToLoad = v.pipe(v.array(TargetToLoad, "must be a list of targets"), v.minLength(1, "must have a line"));
const targetMessage = v.pipe(
  v.string("must be a string"),
  v.check((message) => message.trim() !== "" && !message.includes("\0"), "must not be empty nor contain a NUL"),
);
/** Whether I/O under way is waited for, and a file system on the device is frozen. */
const pausing = { flush: v.optional(v.boolean(), true), freeze: v.optional(v.boolean(), true) };

export const HelperInfo = v.object({
  version: v.string(),
  pid: count,
  uid: count,
  privileged: v.boolean(),
  caller: v.object({ uid: count, gid: count, name: v.string() }),
  /** Devices that would go if this helper ended now: they are to go with their last user, and have none yet. */
  holds: v.optional(count, 0),
  kernel: v.string(),
  features: v.object({
    loopConfigure: v.boolean(),
    deviceMapper: v.nullable(v.string()),
    mapperTargets: v.array(v.string()),
    fileSystems: v.array(v.string()),
  }),
});
export type HelperInfo = v.InferOutput<typeof HelperInfo>;

/** Every request: what it takes and what it answers. */
export const requests = {
  "helper/info": { params: v.strictObject({}), result: HelperInfo },
  "devices/list": {
    params: v.strictObject({}),
    result: v.object({ devices: v.array(Device) }),
  },
  "loop/attach": {
    params: v.strictObject({
      path: absolutePath,
      device: v.optional(loopNode),
      readOnly: v.optional(auto(v.boolean()), "auto"),
      offset: v.optional(bytes, 0),
      sizeLimit: v.optional(bytes, 0),
      sectorSize: v.optional(v.union([blockSize, v.literal("probe")]), "probe"),
      partitionScan: v.optional(v.boolean(), true),
      directIo: v.optional(auto(v.boolean()), "auto"),
      autoclear: v.optional(v.boolean(), false),
      reference: v.optional(reference, ""),
      overlap: v.optional(v.picklist(["refuse", "share", "allow"]), "refuse"),
      inMemory: v.optional(v.boolean(), false),
      workDoneToken,
    }),
    result: v.object({
      device: LoopDevice,
      shared: v.boolean(),
      /** Bytes at the image's end that fill no sector, and so can't be reached through the device. */
      unreachableTail: v.optional(bytes, 0),
    }),
  },
  "image/inspect": {
    params: v.strictObject({
      path: absolutePath,
      offset: v.optional(bytes, 0),
      sectorSize: v.optional(v.union([blockSize, v.literal("probe")]), "probe"),
      workDoneToken,
    }),
    result: v.object({
      size: bytes,
      content: Content,
      partitions: v.array(Partition),
      ...tableFaults,
    }),
  },
  "loop/detach": {
    params: v.strictObject({
      ...changed,
      whenBusy: v.optional(v.picklist(["refuse", "lazy", "unmount"]), "refuse"),
      remove: v.optional(v.boolean(), false),
      workDoneToken,
    }),
    result: v.object({ state: v.picklist(["detached", "pending"]), users: v.array(User) }),
  },
  "loop/flush": {
    params: v.strictObject({ ...named, dropCache: v.optional(v.boolean(), false), workDoneToken }),
    result: v.object({}),
  },
  "loop/update": {
    params: v.strictObject({
      ...changed,
      offset: v.optional(bytes),
      sizeLimit: v.optional(bytes),
      sectorSize: v.optional(blockSize),
      autoclear: v.optional(v.boolean()),
      directIo: v.optional(v.boolean()),
      reference: v.optional(reference),
      workDoneToken,
    }),
    result: v.object({ device: LoopDevice }),
  },
  "loop/resize": { params: v.strictObject({ ...changed, workDoneToken }), result: v.object({ device: LoopDevice }) },
  "loop/findFree": { params: v.strictObject({}), result: v.object({ device: v.string() }) },
  "loop/remove": { params: v.strictObject({ device: loopNode }), result: v.object({}) },
  "partition/rescan": {
    params: v.strictObject({ ...changed, workDoneToken }),
    result: v.object({ partitions: v.array(Partition) }),
  },
  "partition/resize": {
    params: v.strictObject({
      ...changed,
      device: partitionNode,
      start: v.optional(bytes),
      size: v.optional(v.pipe(bytes, v.minValue(1))),
    }),
    result: v.object({ partition: Partition }),
  },
  "mapper/create": {
    params: v.strictObject({
      name: mapperName,
      uuid: v.optional(mapperUuid),
      readOnly: v.optional(v.boolean(), false),
      table: tableToLoad,
      workDoneToken,
    }),
    result: v.object({ device: MapperDevice }),
  },
  "mapper/load": {
    params: v.strictObject({ ...mapped, table: tableToLoad, readOnly: v.optional(v.boolean(), false) }),
    result: v.object({ device: MapperDevice }),
  },
  "mapper/clear": { params: v.strictObject(mapped), result: v.object({ device: MapperDevice }) },
  "mapper/suspend": { params: v.strictObject({ ...mapped, ...pausing }), result: v.object({ device: MapperDevice }) },
  "mapper/resume": { params: v.strictObject({ ...mapped, ...pausing }), result: v.object({ device: MapperDevice }) },
  "mapper/rename": {
    params: v.strictObject({ ...mapped, name: v.optional(mapperName), uuid: v.optional(mapperUuid) }),
    result: v.object({ device: MapperDevice }),
  },
  "mapper/remove": {
    params: v.strictObject({
      ...mapped,
      whenBusy: v.optional(v.picklist(["refuse", "deferred", "unmount"]), "refuse"),
    }),
    result: v.object({ state: v.picklist(["removed", "pending"]), users: v.array(User) }),
  },
  "mapper/status": {
    params: v.strictObject({ device: mapperNode }),
    result: v.object({ status: v.array(MapperTarget), eventNumber: count }),
  },
  "mapper/wait": {
    params: v.strictObject({ device: mapperNode, eventNumber: count, workDoneToken }),
    result: v.object({ status: v.array(MapperTarget), eventNumber: count }),
  },
  "mapper/message": {
    params: v.strictObject({ ...mapped, sector: v.optional(count, 0), message: targetMessage }),
    result: v.object({ reply: v.string() }),
  },
  "mapper/targets": {
    params: v.strictObject({}),
    result: v.object({ targets: v.array(v.object({ name: v.string(), version: v.string() })) }),
  },
  "mount/mount": {
    params: v.strictObject({
      ...changed,
      device: mountable,
      /** An empty folder of the caller's; without one, a folder is made under /run/media. */
      target: v.optional(absolutePath),
      fileSystem: v.optional(v.pipe(text, v.regex(/^[\w.-]{1,32}$/, "must be a file system, such as ext4"))),
      /** Left out: for reading only where it has to be. */
      readOnly: v.optional(v.boolean()),
      options: v.optional(v.pipe(v.array(v.pipe(text, v.maxBytes(255))), v.maxLength(64)), []),
      /** Shows files of root as the caller's, and writes the caller's as root's. */
      idMap: v.optional(v.boolean(), false),
      workDoneToken,
    }),
    result: v.object({
      mount: Mount,
      /** The device is read-only, and its journal could not be written back: what is seen may be out of date. */
      journalSkipped: v.optional(v.boolean(), false),
    }),
  },
  "mount/unmount": {
    params: v.pipe(
      v.strictObject({
        device: v.optional(mountable),
        diskSequence,
        target: v.optional(absolutePath),
        lazy: v.optional(v.boolean(), false),
        confirmForeign,
        workDoneToken,
      }),
      v.check(({ device, target }) => (device === undefined) !== (target === undefined), "needs a device or a target"),
    ),
    result: v.object({}),
  },
} as const;

export type Method = keyof typeof requests;
/** What a client sends: fields with a default may be left out. */
export type Params<M extends Method> = v.InferInput<(typeof requests)[M]["params"]>;
/** What an engine gets: every default filled in. */
export type CheckedParams<M extends Method> = v.InferOutput<(typeof requests)[M]["params"]>;
export type Result<M extends Method> = v.InferOutput<(typeof requests)[M]["result"]>;

// ── Notifications from the helper ──────────────────────────────────────────────────────────────────────────────────

export const LogMessage = v.object({ level: v.picklist(["error", "warning", "info", "debug"]), message: v.string() });
export type LogMessage = v.InferOutput<typeof LogMessage>;

// ── Errors ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * Why a request was refused. `notPrivileged`: the helper needs to be root; `notPermitted`: the caller's own rights do
 * not reach that far; `unsupported`: this kernel can't; `kernel`: anything else that the kernel said.
 */
export const Reason = v.picklist([
  "notPrivileged",
  "notPermitted",
  "notFound",
  "invalid",
  "busy",
  "overlap",
  "stale",
  "unsupported",
  "kernel",
]);
export type Reason = v.InferOutput<typeof Reason>;

export const ProblemData = v.object({
  reason: Reason,
  /** The kernel's name of the error, and the call that met it. */
  errno: v.optional(v.string()),
  call: v.optional(v.string()),
  device: v.optional(v.string()),
  users: v.optional(v.array(User)),
  /** Somebody else set the device up: the same request with `confirmForeign` would be heard. */
  foreign: v.optional(v.boolean()),
  /** For bad params: which. */
  path: v.optional(v.string()),
  message: v.optional(v.string()),
});
export type ProblemData = v.InferOutput<typeof ProblemData>;
