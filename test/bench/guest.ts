/* What needs device-mapper and udev: measured in the guest, by inGuest.ts. */
import { join } from "node:path";
import { root } from "../helper";
import type { Row, Unmeasured } from "./table";

const LIMIT_SECONDS = 120;

/** The rows as they are printed in the guest. */
export async function inGuest(): Promise<(Row | Unmeasured)[]> {
  const what = "device-mapper and udev, in the guest";
  try {
    // Not bundled: it finds its files beside itself.
    const { runInGuest }: typeof import("../guest/vm/run.mjs") = await import(join(root, "test/guest/vm/run.mjs"));
    let printed = "";
    const status = await runInGuest({
      command: [process.execPath, join(root, "dist/test/bench/inGuest.js")],
      cwd: root,
      env: { DISKLOOM_ROOT: root },
      limitSeconds: LIMIT_SECONDS,
      onStdout: (chunk) => {
        printed += chunk;
      },
    });
    return status === 0 ? JSON.parse(printed) : [{ what, unmeasured: `it ended with ${status}` }];
  } catch (error) {
    return [{ what, unmeasured: `there is no guest here: ${error instanceof Error ? error.message : error}` }];
  }
}
