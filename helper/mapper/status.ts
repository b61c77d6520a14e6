/* What the targets of a device report: a snapshot's fill, a mirror's progress. */
import { isErrno } from "../linux/errno";
import { Problem } from "../problem";
import type { MapperTarget } from "../protocol";
import type { MapperDeps } from "./deps";
import { findDevice } from "./device";
import { fromKernel } from "./table";

export interface MapperStatus {
  status: MapperTarget[];
  /** Counts the events of the device: what `mapper/wait` takes. */
  eventNumber: number;
}

/** `mapper/status`. @throws Problem notFound */
export async function mapperStatus({ device }: { device: string }, { control }: MapperDeps): Promise<MapperStatus> {
  const { devnum } = findDevice(control, device);
  try {
    const { targets, eventNumber } = await control.targetStatus({ devnum });
    return { status: targets.map(fromKernel), eventNumber };
  } catch (error) {
    if (isErrno(error, "ENXIO")) {
      throw Problem.of("notFound", `${device} was removed just now.`, error, { device });
    }
    throw error;
  }
}
