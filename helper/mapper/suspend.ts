/* Holding a device's I/O back. */
import type { SuspendOptions } from "../linux/dmcontrol";
import type { MapperDeps, Meant } from "./deps";
import { describeMapper, type MapperDescription } from "./describe";
import { holdDevice } from "./device";

export interface SuspendParams extends Meant, SuspendOptions {}

/**
 * `mapper/suspend`: waits for the I/O under way, unless `flush` is false, and freezes a file system on it, unless
 * `freeze` is false. The signal doesn't reach it: once begun, it ends when the kernel is done. Where it is suspended
 * already, nothing is done.
 * @throws Problem notFound, stale
 */
export async function suspendMapper(params: SuspendParams, { control }: MapperDeps): Promise<MapperDescription> {
  await using held = await holdDevice(control, params);
  await control.suspend(held.key, params);
  return describeMapper(control, held.devnum, held.ownOpenCount);
}
