/* Run in the guest by guest.ts: measures, and prints the rows as JSON. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { TestHelper } from "../helper";
import { MiB, Workshop } from "../images";
import { sideBySide, summarise } from "./measure";
import { spawned } from "./peers";
import type { Row } from "./table";

const SECTORS = 8192;
const CHANGES = 12;
/** Longer than changes are grouped and udev takes in the emulator. */
const BETWEEN = 500;

async function linear(place: Workshop): Promise<Row> {
  await using helper = await TestHelper.start();
  const { device } = await helper.request("loop/attach", { path: place.blank("linear.img", SECTORS * 512) });
  const target = { startSectors: 0, lengthSectors: SECTORS, type: "linear", params: `${device.device} 0` };
  const { ours, theirs } = await sideBySide(25, {
    async ours() {
      const { device } = await helper.request("mapper/create", { name: "diskloom-ours", table: [target] });
      await helper.request("mapper/remove", { device: device.device, diskSequence: device.diskSequence });
      return undefined;
    },
    async theirs() {
      await spawned("dmsetup", "create", "diskloom-theirs", "--table", `0 ${SECTORS} linear ${device.device} 0`);
      await spawned("dmsetup", "remove", "diskloom-theirs");
      return undefined;
    },
  });
  await helper.request("loop/detach", { device: device.device });
  return {
    what: "create + remove a linear device (guest)",
    ours,
    against: "dmsetup create, dmsetup remove",
    theirs,
    aim: { timesFaster: 5 },
  };
}

/** Others hear of a change by udev, when it has done its own; each change is one of losetup(8). */
async function changes(place: Workshop): Promise<Row> {
  await using helper = await TestHelper.start();
  // As the extension does: until it has been asked something it may not have begun to listen.
  await helper.request("devices/list", {});
  const path = place.blank("change.img", MiB);
  const monitor = spawn("udevadm", ["monitor", "--udev", "--subsystem-match=block"]);
  let heard: ((time: number) => void) | undefined;
  let told: ((time: number) => void) | undefined;
  createInterface({ input: monitor.stdout }).on("line", (line) => {
    if (line.startsWith("UDEV  [")) {
      heard?.(performance.now());
    }
  });
  helper.connection.onNotification("devices/changed", () => told?.(performance.now()));
  const times = { ours: [] as number[], theirs: [] as number[] };
  // It says so when it listens.
  await once(monitor.stdout, "data");
  for (let round = 0; round < CHANGES; round++) {
    await pause(BETWEEN);
    const hearing = Promise.all([
      new Promise<number>((resolve) => {
        told = resolve;
      }),
      new Promise<number>((resolve) => {
        heard = resolve;
      }),
    ]);
    const begun = performance.now();
    const changing = spawned("losetup", "-f", path);
    const [ours, theirs] = await hearing;
    times.ours.push(ours - begun);
    times.theirs.push(theirs - begun);
    await changing;
    await pause(BETWEEN);
    const bound = await spawned("losetup", "-j", path, "--noheadings", "-O", "NAME");
    await spawned("losetup", "-d", bound.trim());
  }
  const gone = once(monitor, "exit");
  monitor.kill();
  await gone;
  return {
    what: "another program's change → devices/changed (guest)",
    ours: summarise(times.ours),
    against: "udevadm monitor",
    theirs: summarise(times.theirs),
    aim: { more: 60 },
    note: "both from before losetup is spawned, in an emulator.",
  };
}

async function main(): Promise<void> {
  using place = new Workshop();
  console.log(JSON.stringify([await linear(place), await changes(place)]));
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
