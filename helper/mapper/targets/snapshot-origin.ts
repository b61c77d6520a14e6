/* snapshot-origin: a device of which there are snapshots. Documentation/admin-guide/device-mapper/snapshot.rst */
import { sectors } from "../../linux/dm";
import type { TargetKind } from "./target";

/** "device" */
export interface SnapshotOrigin {
  device: string;
}

export const snapshotOrigin: TargetKind<SnapshotOrigin> = {
  type: "snapshot-origin",
  parse(words) {
    const device = words.word("the device");
    words.end();
    return { device };
  },
  format: ({ device }) => [device],
  extents: ({ device }, { start, length }) => [{ device, start: sectors(0), length: sectors(start + length) }],
  withDevices: ({ device }, replace) => ({ device: replace(device) }),
};
