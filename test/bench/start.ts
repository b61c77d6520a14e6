/* From the start of the helper to its first reply. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { TestHelper } from "../helper";
import { sideBySide } from "./measure";
import type { Row } from "./table";

export async function firstReply(): Promise<Row> {
  const { ours, theirs } = await sideBySide(30, {
    async ours() {
      const begun = performance.now();
      await using _helper = await TestHelper.start();
      return [performance.now() - begun];
    },
    async theirs() {
      const begun = performance.now();
      const child = spawn(process.execPath, ["-e", "console.log()"]);
      const gone = once(child, "exit");
      await once(child.stdout, "data");
      const time = performance.now() - begun;
      await gone;
      return [time];
    },
  });
  return { what: "first reply of the helper", ours, against: "node -e, its first output", theirs, aim: { times: 1.3 } };
}
