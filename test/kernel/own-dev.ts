/* A helper whose /dev is its own, as in a container: what is done to the nodes there is nobody else's trouble. */
import type { TestHelper } from "../helper";
import { run } from "../images";
import type { Scene } from "./scene";

/** @returns the helper, with no more in its /dev than /dev/loop-control, and the path by which others reach that /dev */
export async function helperWithOwnDev(scene: Scene): Promise<{ helper: TestHelper; dev: string }> {
  const spare = scene.workshop.path("nodes");
  run("mkdir", ["-p", spare]);
  const script = `cp -a /dev/loop-control /dev/null "$0" && mount -t tmpfs none /dev && cp -a "$0"/* /dev && exec "$@"`;
  const helper = await scene.helperWith({ command: ["unshare", "--mount", "sh", "-c", script, spare] });
  return { helper, dev: `/proc/${helper.process.pid}/root/dev` };
}
