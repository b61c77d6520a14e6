/* Loading a table as the inactive one: it takes the live one's place with the next resume. */
import type { Devnum } from "../linux/devnum";
import type { DmControl } from "../linux/dmcontrol";
import { isErrno } from "../linux/errno";
import { KernelLog } from "../linux/kmsg";
import { inWords, Problem } from "../problem";
import type { MapperTarget } from "../protocol";
import { type PreparedTable, prepareTable } from "./check";
import type { MapperDeps, Meant } from "./deps";
import { describeMapper, type MapperDescription } from "./describe";
import { holdDevice } from "./device";

export interface LoadParams extends Meant {
  table: readonly MapperTarget[];
  readOnly?: boolean | undefined;
}

/**
 * `mapper/load`. The live table stays as it is, and so does all I/O.
 * @throws Problem invalid (with the kernel's reason where its log can be read), notFound, stale, busy
 */
export async function loadMapper(params: LoadParams, deps: MapperDeps): Promise<MapperDescription> {
  const { control } = deps;
  await using held = await holdDevice(control, params);
  const readOnly = params.readOnly ?? false;
  const table = await prepareTable(deps, params.table, readOnly, held.devnum);
  await loadTable(deps, held.devnum, table);
  return describeMapper(control, held.devnum, held.ownOpenCount);
}

/**
 * Loads a table that was prepared. The devices that the kernel has then opened for it are what counts: a target of a
 * kind that we don't know may have named one in a way of its own, for which the caller's right to it is asked for now.
 */
export async function loadTable({ control, permit }: MapperDeps, devnum: Devnum, table: PreparedTable): Promise<void> {
  await loadInKernel(control, devnum, table);
  const further = control.dependencies({ devnum }, "inactive").filter((device) => !table.devices.includes(device));
  try {
    if (further.length > 0) {
      await permit?.(further, table.readOnly);
    }
  } catch (error) {
    await control.clear({ devnum });
    throw error;
  }
}

// What the kernel doesn't like, it says in its log only: that goes into the Problem.
async function loadInKernel(control: DmControl, devnum: Devnum, table: PreparedTable): Promise<void> {
  using kernelLog = KernelLog.open();
  try {
    await control.load({ devnum }, table.targets, table.readOnly);
  } catch (error) {
    if (isErrno(error, "EACCES", "EROFS", "EPERM") && !table.readOnly) {
      const advice = "Make the mapper device read-only, too.";
      throw Problem.of("notPermitted", `A device that the table names is read-only. ${advice}`, error);
    }
    if (isErrno(error, "EBUSY")) {
      const advice = "Unmount it, or remove what stands on it.";
      throw Problem.of("busy", `A device that the table names is in use. ${advice}`, error, { users: [] });
    }
    if (isErrno(error, "EINVAL", "ENOENT", "ENODEV", "ENXIO", "ENOMEM", "ENOKEY", "E2BIG", "ERANGE", "EIO")) {
      const said = reasonsFor(devnum, kernelLog?.read() ?? []);
      const why = said || `${inWords(error.errno)}. The kernel's log (dmesg) may say more`;
      throw Problem.of("invalid", `The kernel refuses the table: ${why}.`, error);
    }
    throw error;
  }
}

/** From "device-mapper: table: 253:0: linear: Invalid argument count (-EINVAL)", of our device alone: others load, too. */
function reasonsFor(devnum: Devnum, messages: readonly string[]): string {
  const own = `device-mapper: table: ${devnum}: `;
  return messages
    .filter((message) => message.startsWith(own))
    .map((message) => message.slice(own.length).replace(/\.$/, ""))
    .join("; ");
}
