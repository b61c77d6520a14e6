import type { Device, LoopDevice } from "../../helper/protocol";

/** Whether this user has attached it through us: not the system, as it does for snaps, and nobody else. */
export function isMine(device: Device): device is LoopDevice {
  return device.kind === "loop" && device.setUpBy !== undefined && device.setUpBy.uid === process.getuid?.();
}
