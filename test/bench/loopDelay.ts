/*
 * Loaded into a helper before its own program: on SIGUSR2 it says on stderr for how long the event loop has stopped at
 * most since the last time.
 */
import { monitorEventLoopDelay } from "node:perf_hooks";

const RESOLUTION = 1;
const monitor = monitorEventLoopDelay({ resolution: RESOLUTION });
monitor.enable();
process.on("SIGUSR2", () => {
  // What it counts is from one of its timers to the next, without a stop the resolution itself.
  process.stderr.write(`longest stop: ${monitor.max / 1e6 - RESOLUTION} ms\n`);
  monitor.reset();
});
