/* Which kinds of targets the kernel has drivers for. */
import type { DmTargetVersion } from "../linux/dm";
import type { MapperDeps } from "./deps";

/** `mapper/targets`: those whose drivers are loaded; the kernel loads others when a table names them. */
export function listTargets({ control }: MapperDeps): DmTargetVersion[] {
  return control.listVersions().sort((a, b) => (a.name < b.name ? -1 : 1));
}
