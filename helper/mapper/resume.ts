/* Letting a device's I/O through, and putting a new table in place. */
import { isErrno } from "../linux/errno";
import { Problem } from "../problem";
import type { MapperDeps } from "./deps";
import { describeMapper, type MapperDescription } from "./describe";
import { holdDevice } from "./device";
import type { SuspendParams } from "./suspend";
import { inStepWithUdev } from "./udev";

/**
 * `mapper/resume`: with an inactive table that one becomes the live one, for which a device that isn't suspended is,
 * for a moment and with these options.
 * @throws Problem invalid where the new table can't take the old one's place, notFound, stale
 */
export async function resumeMapper(params: SuspendParams, deps: MapperDeps): Promise<MapperDescription> {
  const { control } = deps;
  await using held = await holdDevice(control, params);
  try {
    await inStepWithUdev(deps, [held.name], (eventNumber) => control.resume(held.key, params, eventNumber));
  } catch (error) {
    if (isErrno(error, "EINVAL")) {
      const why =
        "It has no table, or the new one can't take the old one's place. The kernel's log (dmesg) may say more.";
      throw Problem.of("invalid", `${params.device} can't be resumed. ${why}`, error);
    }
    throw error;
  }
  return describeMapper(control, held.devnum, held.ownOpenCount);
}
