import { readFileSync } from "node:fs";
import { release } from "node:os";
import type { Caller } from "./caller";
import { isConfigureUsable } from "./loop/configure";
import { heldCount } from "./loop/held";
import { mapperPresent, openControl } from "./mapper/control";
import type { HelperInfo } from "./protocol";

/** Who we are and what can be done here. */
export function info(caller: Caller): HelperInfo {
  const uid = process.geteuid?.() ?? 0;
  return {
    version: DISKLOOM_VERSION,
    pid: process.pid,
    uid,
    privileged: uid === 0,
    caller: { uid: caller.uid, gid: caller.gid, name: caller.name },
    holds: heldCount(),
    kernel: release(),
    features: {
      loopConfigure: isAtLeast(5, 8) && isConfigureUsable(),
      ...mapperFeatures(),
      fileSystems: blockFileSystems(),
    },
  };
}

function isAtLeast(major: number, minor: number): boolean {
  const [ownMajor = 0, ownMinor = 0] = release().split(".").map(Number);
  return ownMajor > major || (ownMajor === major && ownMinor >= minor);
}

// /proc/filesystems: those that need no block device are marked.
function blockFileSystems(): string[] {
  return readFileSync("/proc/filesystems", "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("nodev"))
    .map((line) => line.trim());
}

function mapperFeatures(): Pick<HelperInfo["features"], "deviceMapper" | "mapperTargets"> {
  if (!mapperPresent()) {
    return { deviceMapper: null, mapperTargets: [] };
  }
  try {
    using control = openControl();
    return { deviceMapper: control.version, mapperTargets: control.listVersions().map(({ name }) => name) };
  } catch {
    // It is there, but not ours to ask.
    return { deviceMapper: null, mapperTargets: [] };
  }
}
