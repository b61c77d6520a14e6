/* Dropping the inactive table. */
import type { MapperDeps, Meant } from "./deps";
import { describeMapper, type MapperDescription } from "./describe";
import { holdDevice } from "./device";

/** `mapper/clear`. Where there is no inactive table, nothing is done. @throws Problem notFound, stale */
export async function clearMapper(params: Meant, { control }: MapperDeps): Promise<MapperDescription> {
  await using held = await holdDevice(control, params);
  await control.clear(held.key);
  return describeMapper(control, held.devnum, held.ownOpenCount);
}
