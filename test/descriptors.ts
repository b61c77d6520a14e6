/* What processes have open. */
import { readdirSync, readlinkSync } from "node:fs";

/** What the descriptors of a process refer to, each a path or what the kernel says in its place: proc_pid_fd(5). */
export function openedBy(process: number | "self" | undefined): string[] {
  if (process === undefined) {
    return [];
  }
  const folder = `/proc/${process}/fd`;
  return readdirSync(folder).flatMap((fd) => {
    try {
      return [readlinkSync(`${folder}/${fd}`)];
    } catch {
      // It was closed meanwhile, as was the one that the folder was read by.
      return [];
    }
  });
}
