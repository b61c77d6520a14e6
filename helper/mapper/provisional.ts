/*
 * The names of devices in the making. A device gets its real name when it has its table and its end is bound to ours
 * (see create.ts); one that is left under a provisional name by a helper that was killed before is nobody's, and can be
 * told by it.
 */
import { readFileSync, readlinkSync } from "node:fs";
import type { DmName } from "../linux/dm";
import type { DmControl } from "../linux/dmcontrol";
import { isErrno } from "../linux/errno";
import type { MapperDeps } from "./deps";

const PREFIX = "diskloom-making";
const SHAPE = /^diskloom-making-(\d+)-(\d+)-(\d+)-\d+$/;

let made = 0;

/** A name that says who makes the device: the process, when it started, and where these numbers mean that. */
export function provisionalName(): DmName {
  return `${PREFIX}-${processNamespace()}-${process.pid}-${startTime(process.pid) ?? 0}-${made++}` as DmName;
}

export function isProvisional(name: DmName): boolean {
  return SHAPE.test(name);
}

/**
 * Removes what helpers left behind that were killed in the making of a device. Those of another process namespace are
 * left alone, as we can't tell whether their makers live.
 */
export async function removeLeftovers({ control, log }: MapperDeps): Promise<void> {
  for (const { name } of control.listDevices()) {
    if (makerIsGone(name)) {
      log?.("info", `Removing ${name}, which a helper that was killed left half-made.`);
      await removeByName(control, name);
    }
  }
}

/** By name, as a provisional one is never used twice. */
async function removeByName(control: DmControl, name: DmName): Promise<void> {
  try {
    await control.remove({ name }, { deferred: true });
  } catch (error) {
    if (!isErrno(error, "ENXIO")) {
      throw error;
    }
  }
}

function makerIsGone(name: DmName): boolean {
  const [, namespace, process, start] = SHAPE.exec(name) ?? [];
  return namespace === processNamespace() && startTime(Number(process)) !== start;
}

/** The inode number in "pid:[4026531836]". */
function processNamespace(): string {
  return /\d+/.exec(readlinkSync("/proc/self/ns/pid"))?.[0] ?? "0";
}

/** Field 22 of proc_pid_stat(5), in clock ticks since boot; `undefined` where there is no such process. */
function startTime(process: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${process}/stat`, "utf8");
    // A zombie does nothing any more.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}
