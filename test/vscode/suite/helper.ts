/* The helper that this extension host has started, and what makes it wait. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { openedBy } from "../../descriptors";
import { helperProcesses } from "../processes";

export function pidOfHelper(): number | undefined {
  return helperProcesses().find(({ parent }) => parent === process.pid)?.pid;
}

/** Locks a device, as others do, until the process is ended. */
export async function lock(device: string): Promise<ChildProcess> {
  const holder = spawn("flock", ["--no-fork", device, "sh", "-c", "echo locked; exec sleep 60"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(holder.stdout, "data");
  return holder;
}

/** Whether the helper has this file open. */
export function has(file: string): boolean {
  return openedBy(pidOfHelper()).includes(file);
}
