/*
 * Making a mapper device: whole or not at all.
 *
 * A helper that is killed can't undo what it has begun, so the kernel is made to. The device is made under a
 * provisional name, opened, and marked to go with its last user (DM_DEFERRED_REMOVE): us. Only then it gets its name, is
 * resumed and gets its node; when all is there, the mark is taken back. Whoever is killed in between closes the device
 * by that, and the kernel removes it.
 *
 * What the kernel can't be made to: between DM_DEV_CREATE and the mark, a kill leaves a device without a live table
 * under a provisional name. It is in nobody's way, isn't listed, and `removeLeftovers` of the next helper removes it.
 * Without udev, a kill after the node was made leaves the node of a device that went: the next one of that name
 * replaces it.
 */
import type { Devnum } from "../linux/devnum";
import type { DmName } from "../linux/dm";
import type { DmControl } from "../linux/dmcontrol";
import { isErrno } from "../linux/errno";
import type { OpenFile } from "../linux/file";
import { Problem } from "../problem";
import type { MapperTarget } from "../protocol";
import { prepareTable } from "./check";
import { type MapperDeps, stopIfCancelled } from "./deps";
import { describeMapper, type MapperDescription } from "./describe";
import { openByNumber } from "./device";
import { untilGone } from "./gone";
import { loadTable } from "./load";
import { escapeName, escapeUuid } from "./names";
import { nodePath, settleNode } from "./nodes";
import { provisionalName } from "./provisional";
import { inStepWithUdev } from "./udev";

export interface CreateParams {
  name: string;
  uuid?: string | undefined;
  readOnly?: boolean | undefined;
  table: readonly MapperTarget[];
}

/**
 * `mapper/create`: created, loaded, resumed, its node there; on any failure, or when the signal aborts, nothing is left.
 * @throws Problem invalid, notFound, notPermitted, busy (name or uuid taken, a device below in use); Cancelled
 */
export async function createMapper(params: CreateParams, deps: MapperDeps): Promise<MapperDescription> {
  const { control } = deps;
  const name = escapeName(params.name);
  const uuid = escapeUuid(params.uuid ?? "");
  refuseTakenName(control, name);
  const readOnly = params.readOnly ?? false;
  const table = await prepareTable(deps, params.table, readOnly);
  stopIfCancelled(deps);

  const making = new Making(control, name, begin(control, uuid));
  try {
    await loadTable(deps, making.devnum, table);
    await making.bindToUs();
    stopIfCancelled(deps);
    making.giveName();
    const { devnum } = making;
    const all = { flush: true, freeze: true };
    await inStepWithUdev(deps, [name], (eventNumber) => control.resume({ devnum }, all, eventNumber));
    stopIfCancelled(deps);
    making.keep();
    return describeMapper(control, devnum, making.ownOpenCount);
  } finally {
    await making[Symbol.asyncDispose]();
  }
}

function refuseTakenName(control: DmControl, name: DmName): void {
  try {
    control.status({ name });
  } catch (error) {
    if (isErrno(error, "ENXIO")) {
      return;
    }
    throw error;
  }
  throw nameTaken(name);
}

function nameTaken(name: DmName): Problem {
  const device = nodePath(name);
  return new Problem("busy", `There is a mapper device ${device} already. Choose another name.`, { device, users: [] });
}

function begin(control: DmControl, uuid: string): { name: DmName; devnum: Devnum } {
  const name = provisionalName();
  try {
    return { name, devnum: control.create(name, uuid).devnum };
  } catch (error) {
    if (isErrno(error, "EBUSY")) {
      throw Problem.of("busy", `Another mapper device has the uuid ${uuid}. Choose another, or none.`, error, {
        users: [],
      });
    }
    throw error;
  }
}

/** A device in the making, which goes when the making ends without `keep`. */
class Making implements AsyncDisposable {
  readonly devnum: Devnum;
  #name: DmName;
  #held: OpenFile | undefined;
  #kept = false;

  constructor(
    private readonly control: DmControl,
    private readonly finalName: DmName,
    begun: { name: DmName; devnum: Devnum },
  ) {
    this.devnum = begun.devnum;
    this.#name = begun.name;
  }

  get ownOpenCount(): number {
    return this.#held ? 1 : 0;
  }

  /** Where the device can't be opened (a container without the right to), only `removeLeftovers` cleans up after a kill. */
  async bindToUs(): Promise<void> {
    const file = await openByNumber(this.devnum);
    try {
      if (file) {
        this.control.removeWithLastUser({ devnum: this.devnum });
        this.#held = file;
      }
    } catch (error) {
      await file?.[Symbol.asyncDispose]();
      // Before Linux 3.13 there is no such mark.
      if (!isErrno(error, "EBUSY")) {
        throw error;
      }
    }
  }

  // Its event has no cookie, so nobody waits for it: that of the resume comes after it, in udev's queue, too.
  giveName(): void {
    try {
      this.control.rename(this.#name, this.finalName);
    } catch (error) {
      if (isErrno(error, "EBUSY")) {
        throw nameTaken(this.finalName);
      }
      throw error;
    }
    this.#name = this.finalName;
  }

  keep(): void {
    if (this.#held) {
      this.control.keepAfterLastUser({ devnum: this.devnum });
    }
    this.#kept = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const bound = this.#held !== undefined;
    await this.#held?.[Symbol.asyncDispose]();
    this.#held = undefined;
    if (this.#kept) {
      return;
    }
    if (!bound) {
      await this.control.remove({ devnum: this.devnum }, { deferred: true });
    }
    await untilGone(this.control, { name: this.#name, devnum: this.devnum });
    if (this.#name === this.finalName) {
      settleNode(this.control, this.finalName);
    }
  }
}
