/* What root may do here: less in a container than elsewhere. */
import { readFileSync } from "node:fs";

// linux/capability.h
const CAP_SYS_ADMIN = 21n;

/** Whether this process may mount and set up devices; containers take that away even from root, unless told otherwise. */
export function mayAdministrate(): boolean {
  // proc_pid_status(5)
  const [, effective] = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  return effective === undefined || ((BigInt(`0x${effective}`) >> CAP_SYS_ADMIN) & 1n) === 1n;
}
