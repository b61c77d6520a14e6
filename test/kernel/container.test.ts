/* What a container allows: Docker's own choice of capabilities and devices, and what its --privileged adds. */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import type { TestHelper } from "../helper";
import { run } from "../images";
import { attached, problem, Scene } from "./scene";

/** What Docker leaves root doesn't include the right to administrate. */
const WITHOUT_PRIVILEGES = ["setpriv", "--bounding-set=-sys_admin"];
const ADVICE = /lacks CAP_SYS_ADMIN\. Start it with “--privileged”, or attach the image outside of it\.$/;

describe("in a container", { concurrency: false }, () => {
  let scene: Awaited<ReturnType<typeof Scene.set>>;
  let image: string;
  before(async () => {
    scene = await Scene.set();
    image = scene.workshop.fileSystem("ext4", "image");
    for (const node of ["loop-control", "null", "random"]) {
      run("cp", ["-a", `/dev/${node}`, scene.workshop.path(node)]);
    }
  });
  after(() => scene[Symbol.asyncDispose]());

  /**
   * With mounts of its own and a /dev that has just what containers have.
   * @param script goes on from there
   */
  function contained(script: string, ...command: string[]): Promise<TestHelper> {
    const begin = `mount -t tmpfs none /dev && cp -a "$0"/null "$0"/random /dev && ${script} && exec "$@"`;
    return scene.helperWith({ command: ["unshare", "--mount", "sh", "-c", begin, scene.folder, ...command] });
  }

  it("without loop devices nothing is attached, and it says why", async () => {
    const helper = await contained("true", ...WITHOUT_PRIVILEGES);
    await assert.rejects(
      helper.request("loop/attach", { path: image }),
      problem("unsupported", { says: /^There is no \/dev\/loop-control here\..* give the container its devices\.$/ }),
    );
  });

  it("whose devices may not be opened nothing is attached, and it says why", async () => {
    const script = `cp -a "$0"/loop-control /dev && mount -o remount,nodev /dev`;
    const helper = await contained(script, ...WITHOUT_PRIVILEGES);
    await assert.rejects(helper.request("loop/attach", { path: image }), problem("notPermitted", { says: ADVICE }));
    assert.deepEqual(scene.bound(), []);
  });

  it("with loop devices, but not allowed to mount, it says why", async () => {
    const helper = await contained(`cp -a "$0"/loop-control /dev`, ...WITHOUT_PRIVILEGES);
    const { device } = await attached(helper, { path: image });
    await assert.rejects(helper.request("mount/mount", { device }), problem("notPermitted", { says: ADVICE }));
    // Not from in there: while others look at the device, that takes rights, too.
    await scene.helper.request("loop/detach", { device });
    assert.deepEqual(scene.bound(), []);
  });

  it("with all privileges it attaches, mounts where only the container sees it, and detaches", async () => {
    const target = scene.workshop.path("target");
    mkdirSync(target);
    const helper = await contained(`cp -a "$0"/loop-control /dev`);
    const { device } = await attached(helper, { path: image });
    const { mount } = await helper.request("mount/mount", { device, target });
    assert.equal(mount.target, target);
    assert.equal(run("cat", ["/proc/self/mounts"]).includes(target), false);
    await helper.request("loop/detach", { device, whenBusy: "unmount" });
    assert.deepEqual(scene.bound(), []);
  });
});
