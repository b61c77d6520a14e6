/* The helpers that run on this machine, as the kernel lists them. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

export interface HelperProcess {
  pid: number;
  /** The bundle that it runs. */
  script: string;
  parent: number;
  /** Its effective user. */
  uid: number;
  /** Tells the processes of one namespace from all others. */
  namespace: string;
}

/** All processes that run Diskloom's helper; sudo, which waits for one, is none. */
export function helperProcesses(): HelperProcess[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name): HelperProcess[] => {
      try {
        const [, script = ""] = readFileSync(`/proc/${name}/cmdline`, "utf8").split("\0");
        const status = readFileSync(`/proc/${name}/status`, "utf8");
        const field = (key: string) => new RegExp(`^${key}:\\s*(.*)$`, "m").exec(status)?.[1] ?? "";
        return /\/(dist|diskloom\/[^/]+)\/helper\.js$/.test(script) && !field("State").startsWith("Z")
          ? [
              {
                pid: Number(name),
                script,
                parent: Number(field("PPid")),
                uid: Number(field("Uid").split("\t")[1]),
                namespace: readlinkSync(`/proc/${name}/ns/pid`),
              },
            ]
          : [];
      } catch {
        // It ended while we looked.
        return [];
      }
    });
}

/** The processes that a process or one of its descendants has started. */
export function processesUnder(ancestor: number): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => descendsFrom(pid, ancestor));
}

/** The working directory of a process; `undefined` where it has ended. */
export function folderOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return undefined;
  }
}

/** Those that a process or one of its descendants has started: other tests may run helpers of theirs. */
export function helpersUnder(ancestor: number): HelperProcess[] {
  return helperProcesses().filter(({ pid }) => descendsFrom(pid, ancestor));
}

function descendsFrom(pid: number, ancestor: number): boolean {
  for (let current = pid; current > 1; ) {
    if (current === ancestor) {
      return true;
    }
    try {
      current = Number(/^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${current}/status`, "utf8"))?.[1] ?? 0);
    } catch {
      return false;
    }
  }
  return false;
}
