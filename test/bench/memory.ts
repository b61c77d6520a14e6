/*
 * The helper's memory: its proportional set size, which counts what several processes share (the program itself) to
 * each by its part. That part is the smaller the more of them run, so both are measured while both do.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { TestHelper } from "../helper";
import type { Measured } from "./measure";
import type { Row } from "./table";

/** In MiB. */
function memoryOf(pid: number | undefined): Measured {
  const pss = /^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1];
  const size = Number(pss) / 1024;
  return { median: size, p99: size };
}

/** A process's memory, and that of a node that does nothing but wait for its stdin to end. */
export async function besideBareNode(pid: number | undefined): Promise<{ ours: Measured; theirs: Measured }> {
  const child = spawn(process.execPath, ["-e", "process.stdin.resume(); console.log()"]);
  await once(child.stdout, "data");
  const memory = { ours: memoryOf(pid), theirs: memoryOf(child.pid) };
  const gone = once(child, "exit");
  child.stdin.end();
  await gone;
  return memory;
}

/** After what the extension asks of it for the tree. */
export async function idleMemory(): Promise<Row> {
  await using helper = await TestHelper.start();
  await helper.request("helper/info", {});
  await helper.request("devices/list", {});
  const measured = await besideBareNode(helper.process.pid);
  return { what: "helper's memory (PSS), idle", ...measured, unit: "MiB", against: "bare node", aim: { more: 12 } };
}
