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
  const seconds: { cpu: number; changes: number }[] = [];
  let [cpu, changes] = [cpuTime(helper.process.pid), helper.changes];
  for (let second = 0; second < SECONDS; second++) {
    await pause(1000);
    const now = cpuTime(helper.process.pid);
    seconds.push({ cpu: now - cpu, changes: helper.changes - changes });
    [cpu, changes] = [now, helper.changes];
  }
  // A change is told a moment after it has come: the second before is none of rest either.
  const quiet = seconds.filter(({ changes }, index) => changes === 0 && (seconds[index + 1]?.changes ?? 0) === 0);
  const share = (quiet.reduce((sum, { cpu }) => sum + cpu, 0) / (quiet.length * 1e9)) * 100;
  return {
    what: `idle CPU over ${SECONDS} s with ${DEVICES} devices`,
    ours: { median: share, p99: share },
    unit: "%",
    against: "",
    aim: { below: 0.05 },
    ...(quiet.length < SECONDS && {
      note: `other programs changed devices meanwhile; counted are the ${quiet.length} seconds in which they did not.`,
    }),
  };
}

/** Nanoseconds of all threads: /proc/PID/stat counts in steps of 10 ms. */
function cpuTime(pid: number | undefined): number {
  const tasks = `/proc/${pid}/task`;
  return readdirSync(tasks)
    .map((task) => Number(readFileSync(`${tasks}/${task}/schedstat`, "utf8").split(" ")[0]))
    .reduce((sum, time) => sum + time, 0);
}
