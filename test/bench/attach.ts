/* Attach and detach, one after the other: in the engine, and as a client of the helper has it. */
import { describeLoop } from "../../helper/inventory";
import { attach } from "../../helper/loop/attach";
import { detach } from "../../helper/loop/detach";
import { TestHelper } from "../helper";
import { MiB, type Workshop } from "../images";
import { sideBySide } from "./measure";
import { compile, millisecondsIn, spawned } from "./peers";
import type { Row } from "./table";

const BATCH = 20;

export async function attachInEngine(place: Workshop): Promise<Row> {
  const path = place.blank("engine.img", 8 * MiB);
  const floor = compile("floor", place.folder);
  const caller = { uid: 0, gid: 0, groups: [], name: "root" };
  const work = { signal: new AbortController().signal, report() {} };
  const wish = {
    path,
    readOnly: "auto",
    offset: 0,
    sizeLimit: 0,
    sectorSize: "probe",
    partitionScan: true,
    directIo: "auto",
    autoclear: false,
    reference: "",
    overlap: "refuse",
    inMemory: false,
  } as const;
  const { ours, theirs } = await sideBySide(10, {
    async ours() {
      const times: number[] = [];
      for (let n = 0; n < BATCH; n++) {
        const begun = performance.now();
        const { device } = await attach(wish, caller, work, describeLoop);
        await detach({ device: device.device, confirmForeign: false, whenBusy: "refuse", remove: false }, caller, work);
        times.push(performance.now() - begun);
      }
      return times;
    },
    async theirs() {
      return millisecondsIn(await spawned(floor, path, String(BATCH)));
    },
  });
  return { what: "attach + detach in the engine", ours, against: "the same in C", theirs, aim: { times: 1.5 } };
}

export async function attachOverProtocol(place: Workshop): Promise<Row> {
  const path = place.blank("protocol.img", 8 * MiB);
  // Of its own: losetup detaches without waiting for others who are just looking at the device.
  const theirPath = place.blank("losetup.img", 8 * MiB);
  await using helper = await TestHelper.start();
  const { ours, theirs } = await sideBySide(100, {
    async ours() {
      const { device } = await helper.request("loop/attach", { path });
      await helper.request("loop/detach", { device: device.device, diskSequence: device.diskSequence });
      return undefined;
    },
    async theirs() {
      const device = await spawned("losetup", "-f", "--show", theirPath);
      await spawned("losetup", "-d", device.trim());
      return undefined;
    },
  });
  return {
    what: "attach + detach over JSON-RPC",
    ours,
    against: "losetup -f, losetup -d",
    theirs,
    aim: { timesFaster: 10 },
  };
}
