/* What the helper costs while nothing happens. */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { TestHelper } from "../helper";
import type { Workshop } from "../images";
import { ManyDevices } from "./many";
import type { Row } from "./table";

const DEVICES = 100;
const SECONDS = 60;

export async function idle(place: Workshop): Promise<Row> {
  await using _devices = await ManyDevices.attach(DEVICES, place);
  await using helper = await TestHelper.start();
  await helper.request("devices/list", {});
  // What it does after an answer, and V8's threads.
  await pause(2000);
  const changes = helper.changes;
  const before = cpuTime(helper.process.pid);
  await pause(SECONDS * 1000);
  const share = ((cpuTime(helper.process.pid) - before) / (SECONDS * 1e9)) * 100;
  const others = helper.changes - changes;
  return {
    what: `idle CPU over ${SECONDS} s with ${DEVICES} devices`,
    ours: { median: share, p99: share },
    unit: "%",
    against: "",
    aim: { below: 0.05 },
    ...(others > 0 && { note: `it was not idle: other programs changed devices ${others} times.` }),
  };
}

/** Nanoseconds of all threads: /proc/PID/stat counts in steps of 10 ms. */
function cpuTime(pid: number | undefined): number {
  const tasks = `/proc/${pid}/task`;
  return readdirSync(tasks)
    .map((task) => Number(readFileSync(`${tasks}/${task}/schedstat`, "utf8").split(" ")[0]))
    .reduce((sum, time) => sum + time, 0);
}
