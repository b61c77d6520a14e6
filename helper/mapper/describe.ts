/* What the kernel says of mapper devices, in the protocol's words. */
import type { Devnum } from "../linux/devnum";
import { bytesIn, dmFlags, type Sectors } from "../linux/dm";
import type { DmControl } from "../linux/dmcontrol";
import { isErrno } from "../linux/errno";
import { holdersOf, readNumber } from "../linux/sysfs";
import type { MapperDevice } from "../protocol";
import { sequenceOf } from "./device";
import { readable } from "./names";
import { kernelNode, nodePath } from "./nodes";
import { isProvisional } from "./provisional";
import { hideKeys } from "./secrets";
import { fromKernel } from "./table";

/** A device without what is on it and where it is mounted: those who look into devices add that. */
export type MapperDescription = Omit<MapperDevice, "content" | "partitions" | "mounts">;

/**
 * @param held how many of its openers are us, and so are not counted
 * @throws KernelError ENXIO where it is gone
 */
export function describeMapper(control: DmControl, devnum: Devnum, held = 0): MapperDescription {
  const key = { devnum };
  const status = control.status(key);
  const hasTable = (status.flags & dmFlags.DM_ACTIVE_PRESENT_FLAG) !== 0;
  const folder = `/sys/dev/block/${devnum}`;
  return {
    kind: "mapper",
    device: nodePath(status.name),
    node: kernelNode(devnum),
    name: readable(status.name),
    uuid: readable(status.uuid),
    devnum,
    diskSequence: sequenceOf(devnum),
    size: bytesIn((readNumber(`${folder}/size`) ?? 0) as Sectors),
    readOnly: (status.flags & dmFlags.DM_READONLY_FLAG) !== 0,
    suspended: (status.flags & dmFlags.DM_SUSPEND_FLAG) !== 0,
    openCount: Math.max(0, status.openCount - held),
    eventNumber: status.eventNumber,
    hasInactiveTable: (status.flags & dmFlags.DM_INACTIVE_PRESENT_FLAG) !== 0,
    table: hasTable ? control.table(key).map(hideKeys).map(fromKernel) : [],
    dependencies: hasTable ? control.dependencies(key) : [],
    holders: holdersOf(folder),
  };
}

/** All devices, but for those that a helper is just making: half-made ones are nobody's business. */
export function listMappers(control: DmControl): MapperDescription[] {
  return control.listDevices().flatMap(({ name, devnum }) => {
    if (isProvisional(name)) {
      return [];
    }
    try {
      return [describeMapper(control, devnum)];
    } catch (error) {
      if (isErrno(error, "ENXIO")) {
        return []; // gone since it was listed
      }
      throw error;
    }
  });
}
