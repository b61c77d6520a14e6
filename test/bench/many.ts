/* Many loop devices that are bound to images of their own, for as long as they are wanted. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import type { Workshop } from "../images";
import { compile } from "./peers";

export class ManyDevices implements AsyncDisposable {
  private constructor(readonly process: ChildProcessWithoutNullStreams) {}

  static async attach(count: number, place: Workshop): Promise<ManyDevices> {
    const folder = place.path(`many-${count}`);
    mkdirSync(folder);
    // Its stdin ends with us, however we end, and it then takes the devices away.
    const child = spawn(compile("many", place.folder), [String(count), folder]);
    child.stderr.pipe(process.stderr);
    const said = await Promise.race([once(child.stdout, "data"), once(child, "exit").then(() => ["nothing"])]);
    if (String(said[0]).trim() !== "ready") {
      throw new Error(`${count} loop devices can't be had.`);
    }
    return new ManyDevices(child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = once(this.process, "exit");
    this.process.stdin.end();
    const [status] = await gone;
    if (status !== 0) {
      throw new Error("Some of the loop devices are left behind.");
    }
  }
}
