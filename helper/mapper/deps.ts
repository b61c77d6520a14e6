import type { Devnum } from "../linux/devnum";
import type { DmControl } from "../linux/dmcontrol";
import { Cancelled } from "../pause";

/** What every engine function gets besides its params. */
export interface MapperDeps {
  control: DmControl;
  /** Gives up where that leaves nothing half done; what the kernel has begun is not interrupted. */
  signal: AbortSignal;
  log?: ((level: "warning" | "info" | "debug", message: string) => void) | undefined;
  /**
   * Whether the caller may stand on these devices. It is asked once they are fixed by number, so that nobody can put
   * another in the place of one, and again for any that the kernel has found in a table besides.
   * @throws Problem notPermitted
   */
  permit?: ((devices: readonly Devnum[], readOnly: boolean) => void | Promise<void>) | undefined;
  /** How long udev is waited for, in milliseconds. */
  udevTimeout?: number | undefined;
}

/** @throws Cancelled */
export function stopIfCancelled({ signal }: MapperDeps): void {
  if (signal.aborted) {
    throw new Cancelled();
  }
}

/** The device that a request names: its node, and the sequence number that it had when it was seen. */
export interface Meant {
  device: string;
  diskSequence?: number | null | undefined;
}
