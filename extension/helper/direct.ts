/* No way to become root: the helper with the rights that we have. All of them where the extension host is root. */
import type { Command } from "./runtime";

export function direct(helper: Command): Command {
  return helper;
}

/** Whether what we start is root already. */
export function isRoot(): boolean {
  return process.geteuid?.() === 0;
}
