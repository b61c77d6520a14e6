/* Another name for a device, or a uuid for one that has none. */
import { isErrno } from "../linux/errno";
import { Problem } from "../problem";
import type { MapperDeps, Meant } from "./deps";
import { describeMapper, type MapperDescription } from "./describe";
import { holdDevice } from "./device";
import { escapeName, escapeUuid, readable } from "./names";
import { inStepWithUdev } from "./udev";

export interface RenameParams extends Meant {
  name?: string | undefined;
  uuid?: string | undefined;
}

/**
 * `mapper/rename`. The uuid first, as it is the one that can fail for good; where the name fails after it, the uuid
 * stays: the kernel has no way to take one back.
 * @throws Problem invalid (bad name, has another uuid already), busy (taken), notFound, stale
 */
export async function renameMapper(params: RenameParams, deps: MapperDeps): Promise<MapperDescription> {
  const { control } = deps;
  const name = params.name === undefined ? undefined : escapeName(params.name);
  const uuid = params.uuid === undefined ? undefined : escapeUuid(params.uuid);
  await using held = await holdDevice(control, params);
  const { status } = held;
  if (uuid === "" && status.uuid !== "") {
    throw new Problem("invalid", `${params.device} has a uuid, which the kernel can't take away.`);
  }
  if (uuid && uuid !== status.uuid) {
    if (status.uuid !== "") {
      const has = readable(status.uuid);
      throw new Problem("invalid", `${params.device} has the uuid ${has}, which the kernel can't change.`);
    }
    try {
      await inStepWithUdev(deps, [held.name], async (eventNumber) => control.setUuid(held.name, uuid, eventNumber));
    } catch (error) {
      throw taken(error, `Another mapper device has the uuid ${params.uuid}.`);
    }
  }
  if (name !== undefined && name !== held.name) {
    try {
      const names = [held.name, name];
      await inStepWithUdev(deps, names, async (eventNumber) => control.rename(held.name, name, eventNumber));
    } catch (error) {
      throw taken(error, `There is a mapper device called ${params.name} already. Choose another name.`);
    }
  }
  return describeMapper(control, held.devnum, held.ownOpenCount);
}

function taken(error: unknown, message: string): unknown {
  return isErrno(error, "EBUSY") ? Problem.of("busy", message, error, { users: [] }) : error;
}
