/* zero: reads as zeros, and forgets what is written. Documentation/admin-guide/device-mapper/zero.rst */
import type { TargetKind } from "./target";

/** No parameters. */
export type Zero = Record<string, never>;

export const zero: TargetKind<Zero> = {
  type: "zero",
  parse(words) {
    words.end();
    return {};
  },
  format: () => [],
  extents: () => [],
  withDevices: (target) => target,
};
