/* /dev/mapper/control: one method for each of the device mapper's ioctls. Its numbers and structs: dm.ts. */
import type { Devnum } from "./devnum";
import {
  DM_IOCTL_SIZE,
  type DmCommand,
  type DmHeader,
  type DmKey,
  type DmName,
  type DmStatus,
  type DmTarget,
  type DmTargetVersion,
  decodeDependencies,
  decodeDmStatus,
  decodeDmVersion,
  decodeNames,
  decodeString,
  decodeTargets,
  decodeVersions,
  dmData,
  dmFlags,
  dmRequest,
  encodeDmIoctl,
  encodeMessage,
  encodeString,
  encodeTargets,
  type Sectors,
} from "./dm";
import { KernelError } from "./errno";
import type { OpenFile } from "./file";
import { ioctl, ioctlAsync } from "./libc";

const {
  DM_READONLY_FLAG,
  DM_SUSPEND_FLAG,
  DM_STATUS_TABLE_FLAG,
  DM_BUFFER_FULL_FLAG,
  DM_SKIP_LOCKFS_FLAG,
  DM_NOFLUSH_FLAG,
  DM_QUERY_INACTIVE_TABLE_FLAG,
  DM_UUID_FLAG,
  DM_SECURE_DATA_FLAG,
  DM_DATA_OUT_FLAG,
  DM_DEFERRED_REMOVE,
} = dmFlags;

/** The only major version there has ever been for kernels since 2.6. */
const DM_VERSION_MAJOR = 4;
/** Room for an answer at first: enough for hundreds of names, so that growing is rare. */
const FIRST_ANSWER_SIZE = 16 * 1024;
/** Where growing ends: a table of a million targets. */
const LAST_ANSWER_SIZE = 256 * 1024 * 1024;

interface Exchange<T> {
  command: DmCommand;
  header?: DmHeader;
  payload?: Uint8Array;
  /** Whether the answer is longer than the struct, and its room has to be found out. */
  answers?: boolean;
  /** May hold a key: the kernel wipes its copies (DM_SECURE_DATA_FLAG), and we ours. */
  secret?: boolean;
  decode: (bytes: Buffer, status: DmStatus) => T;
}

/**
 * One exchange as the buffers to hand to the kernel, so that quick and slow ioctls share it. The buffer doubles until
 * the answer fits.
 */
function* buffersOf<T>({
  command,
  header = {},
  payload = Buffer.alloc(0),
  ...rest
}: Exchange<T>): Generator<Buffer, T> {
  const flags = (header.flags ?? 0) | (rest.secret ? DM_SECURE_DATA_FLAG : 0);
  for (let room = rest.answers ? FIRST_ANSWER_SIZE : 0; ; room *= 2) {
    const bytes = encodeDmIoctl({ ...header, flags }, payload, DM_IOCTL_SIZE + room);
    try {
      yield bytes;
      const status = decodeDmStatus(bytes);
      if (!rest.answers || (status.flags & DM_BUFFER_FULL_FLAG) === 0) {
        return rest.decode(bytes, status);
      }
      if (room >= LAST_ANSWER_SIZE) {
        throw new KernelError("ENOBUFS", command, targetOf(header));
      }
    } finally {
      if (rest.secret) {
        bytes.fill(0);
      }
    }
  }
}

function targetOf({ key }: DmHeader): string {
  if (!key) {
    return "/dev/mapper/control";
  }
  return "name" in key ? key.name : `device ${key.devnum}`;
}

/** What a suspend, or the suspending that a resume with a new table implies, leaves out. */
export interface SuspendOptions {
  /** DM_NOFLUSH_FLAG: queued I/O is not waited for (multipath, thin pools). */
  flush: boolean;
  /** DM_SKIP_LOCKFS_FLAG: a file system on it is not frozen. */
  freeze: boolean;
}

/**
 * The device mapper, opened. Every method throws a KernelError: ENXIO where there is no such device, EACCES without
 * CAP_SYS_ADMIN, ENOTTY where the kernel is older than the ioctl. Methods that can wait for I/O, for the deletion of a
 * device or for a module to load are asynchronous.
 */
export class DmControl implements Disposable {
  readonly version: string;
  readonly #minor: number;

  /** Shakes hands. @param file /dev/mapper/control, which it closes when disposed of @throws KernelError EPROTO for another major version */
  constructor(readonly file: OpenFile) {
    const [major, minor, patch] = this.#sync({ command: "DM_VERSION", decode: decodeDmVersion });
    if (major !== DM_VERSION_MAJOR) {
      throw new KernelError("EPROTO", "DM_VERSION", file.path);
    }
    this.#minor = minor;
    this.version = `${major}.${minor}.${patch}`;
  }

  [Symbol.dispose](): void {
    this.file[Symbol.dispose]();
  }

  /** All devices, those without a table too. No flags. */
  listDevices(): { name: DmName; devnum: Devnum }[] {
    return this.#sync({ command: "DM_LIST_DEVICES", answers: true, decode: (bytes) => decodeNames(dmData(bytes)) });
  }

  /**
   * Makes a device: suspended, without a table, and since Linux 5.15 without a disk until it gets one.
   * Flags: DM_PERSISTENT_DEV_FLAG (a minor of one's own choice), which we never need.
   * @throws EBUSY where the name or the uuid is taken
   */
  create(name: DmName, uuid: string): DmStatus {
    return this.#sync({ command: "DM_DEV_CREATE", header: { key: { name }, uuid }, decode: statusOnly });
  }

  /**
   * Takes a device away, or with `deferred` (DM_DEFERRED_REMOVE, Linux 3.13) marks it to go with its last user: then
   * DM_DEFERRED_REMOVE is set in the answer. It waits for I/O under way.
   * @throws EBUSY where it is open
   */
  remove(key: DmKey, options: { deferred?: boolean; eventNumber?: number } = {}): Promise<DmStatus> {
    const flags = options.deferred ? DM_DEFERRED_REMOVE : 0;
    const header = { key, flags, eventNumber: options.eventNumber };
    return this.#async({ command: "DM_DEV_REMOVE", header, decode: statusOnly });
  }

  /** Marks a device to go with its last user. For one that we hold open: then this can neither wait nor remove. */
  removeWithLastUser(key: DmKey): DmStatus {
    return this.#sync({ command: "DM_DEV_REMOVE", header: { key, flags: DM_DEFERRED_REMOVE }, decode: statusOnly });
  }

  /** Takes back `deferred`. @throws EBUSY where it is being removed already */
  keepAfterLastUser(key: DmKey): void {
    const payload = encodeMessage(0 as Sectors, "@cancel_deferred_remove");
    this.#sync({ command: "DM_TARGET_MSG", header: { key }, payload, decode: statusOnly });
  }

  /** Gives a device another name. The kernel takes the old name only, no number. @throws EBUSY where the new one is taken */
  rename(name: DmName, newName: DmName, eventNumber = 0): DmStatus {
    const header = { key: { name }, eventNumber };
    return this.#sync({ command: "DM_DEV_RENAME", header, payload: encodeString(newName), decode: statusOnly });
  }

  /** Gives a device without a uuid one (DM_UUID_FLAG). @throws EBUSY where it is taken, EINVAL where it has one */
  setUuid(name: DmName, uuid: string, eventNumber = 0): DmStatus {
    const header = { key: { name }, flags: DM_UUID_FLAG, eventNumber };
    return this.#sync({ command: "DM_DEV_RENAME", header, payload: encodeString(uuid), decode: statusOnly });
  }

  /** Lets no more I/O through once all that is under way is done. Flags: DM_SUSPEND_FLAG and those of `options`. */
  suspend(key: DmKey, options: SuspendOptions): Promise<DmStatus> {
    const header = { key, flags: DM_SUSPEND_FLAG | flagsOf(options) };
    return this.#async({ command: "DM_DEV_SUSPEND", header, decode: statusOnly });
  }

  /** Puts the inactive table, if there is one, in the place of the live one, and lets I/O through. Flags: as `options`. */
  resume(key: DmKey, options: SuspendOptions, eventNumber = 0): Promise<DmStatus> {
    const header = { key, flags: flagsOf(options), eventNumber };
    return this.#async({ command: "DM_DEV_SUSPEND", header, decode: statusOnly });
  }

  /** The state of a device. No flags: that of the live table. */
  status(key: DmKey): DmStatus {
    return this.#sync({ command: "DM_DEV_STATUS", header: { key }, decode: statusOnly });
  }

  /**
   * Loads a table as the inactive one, which opens the devices it names. Flags: DM_READONLY_FLAG, DM_SECURE_DATA_FLAG.
   * Buffers with a key in them are wiped; the strings that they were made of are out of our hands until they are
   * collected.
   * @throws EINVAL for a table that a target refuses; why stands in the kernel's log only
   */
  load(key: DmKey, targets: readonly DmTarget[], readOnly: boolean): Promise<DmStatus> {
    const payload = encodeTargets(targets);
    const header = { key, flags: readOnly ? DM_READONLY_FLAG : 0, targetCount: targets.length };
    const loaded = this.#async({ command: "DM_TABLE_LOAD", header, payload, secret: true, decode: statusOnly });
    return loaded.finally(() => payload.fill(0));
  }

  /** Drops the inactive table. No flags. */
  clear(key: DmKey): Promise<DmStatus> {
    return this.#async({ command: "DM_TABLE_CLEAR", header: { key }, decode: statusOnly });
  }

  /** The devices that a table stands on. Flags: for the inactive one DM_QUERY_INACTIVE_TABLE_FLAG. */
  dependencies(key: DmKey, which: "live" | "inactive" = "live"): Devnum[] {
    const flags = which === "inactive" ? DM_QUERY_INACTIVE_TABLE_FLAG : 0;
    return this.#sync({
      command: "DM_TABLE_DEPS",
      header: { key, flags },
      answers: true,
      decode: (bytes) => decodeDependencies(dmData(bytes)),
    });
  }

  /**
   * A table as it was loaded, keys and all. Flags: DM_STATUS_TABLE_FLAG, DM_SECURE_DATA_FLAG, and for the inactive
   * one DM_QUERY_INACTIVE_TABLE_FLAG.
   */
  table(key: DmKey, which: "live" | "inactive" = "live"): DmTarget[] {
    const flags = DM_STATUS_TABLE_FLAG | (which === "inactive" ? DM_QUERY_INACTIVE_TABLE_FLAG : 0);
    return this.#sync({
      command: "DM_TABLE_STATUS",
      header: { key, flags },
      answers: true,
      secret: true,
      decode: targets,
    });
  }

  /** What the targets of the live table report. Flags: DM_NOFLUSH_FLAG, so that a thin pool doesn't commit for it. */
  targetStatus(key: DmKey): Promise<{ targets: DmTarget[]; eventNumber: number }> {
    return this.#async({
      command: "DM_TABLE_STATUS",
      header: { key, flags: DM_NOFLUSH_FLAG },
      answers: true,
      decode: (bytes, status) => ({ targets: targets(bytes, status), eventNumber: status.eventNumber }),
    });
  }

  /** The kinds of targets whose drivers are loaded. No flags. */
  listVersions(): DmTargetVersion[] {
    return this.#sync({ command: "DM_LIST_VERSIONS", answers: true, decode: (bytes) => decodeVersions(dmData(bytes)) });
  }

  /**
   * The version of one kind of target, whose module the kernel loads if need be. No flags. Linux 5.5.
   * @throws EINVAL where there is no such target, ENOTTY where the kernel is older
   */
  targetVersion(type: string): Promise<DmTargetVersion | undefined> {
    return this.#async({
      command: "DM_GET_TARGET_VERSION",
      header: { key: { name: type as DmName } },
      answers: true,
      decode: (bytes) => decodeVersions(dmData(bytes))[0],
    });
  }

  /**
   * Sends a message to the target at a sector. Flags: DM_SECURE_DATA_FLAG, as it may be a key. A reply that doesn't
   * fit is asked for by sending the message again: only questions have one.
   */
  message(key: DmKey, sector: Sectors, message: string): Promise<string> {
    const payload = encodeMessage(sector, message);
    const sent = this.#async({
      command: "DM_TARGET_MSG",
      header: { key },
      payload,
      answers: true,
      secret: true,
      decode: (bytes, status) => ((status.flags & DM_DATA_OUT_FLAG) === 0 ? "" : decodeString(dmData(bytes))),
    });
    return sent.finally(() => payload.fill(0));
  }

  /**
   * From now on poll(2) on this file reports POLLIN when anything happens to any device. No flags. Linux 4.14: since
   * then a wait needs no DM_DEV_WAIT, which blocks a thread that can't be got back.
   */
  armPoll(): void {
    if (this.#minor < 37) {
      throw new KernelError("ENOTTY", "DM_DEV_ARM_POLL", this.file.path);
    }
    this.#sync({ command: "DM_DEV_ARM_POLL", decode: statusOnly });
  }

  #sync<T>(exchange: Exchange<T>): T {
    const buffers = buffersOf(exchange);
    let step = buffers.next();
    while (!step.done) {
      try {
        ioctl(this.file.fd, dmRequest(exchange.command), step.value, this.#what(exchange));
      } catch (error) {
        step = buffers.throw(error);
        continue;
      }
      step = buffers.next();
    }
    return step.value;
  }

  async #async<T>(exchange: Exchange<T>): Promise<T> {
    const buffers = buffersOf(exchange);
    let step = buffers.next();
    while (!step.done) {
      try {
        await ioctlAsync(this.file.fd, dmRequest(exchange.command), step.value, this.#what(exchange));
      } catch (error) {
        step = buffers.throw(error);
        continue;
      }
      step = buffers.next();
    }
    return step.value;
  }

  #what({ command, header = {} }: Exchange<unknown>): [string, string] {
    return [command, header.key ? targetOf(header) : this.file.path];
  }
}

function statusOnly(_: Buffer, status: DmStatus): DmStatus {
  return status;
}

function targets(bytes: Buffer, status: DmStatus): DmTarget[] {
  return decodeTargets(dmData(bytes), status.targetCount);
}

function flagsOf({ flush, freeze }: SuspendOptions): number {
  return (flush ? 0 : DM_NOFLUSH_FLAG) | (freeze ? 0 : DM_SKIP_LOCKFS_FLAG);
}
