import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { after, before, describe, it } from "node:test";
import { identifyCaller } from "../../helper/caller";
import type { TestHelper } from "../helper";
import { MiB, run } from "../images";
import { attached, pattern, problem, Scene } from "./scene";

// Root's helper, as sudo starts it for somebody else.
describe("a helper that acts for another user", { concurrency: false }, () => {
  const nobody = 65534;
  let scene: Scene;
  let helper: TestHelper;
  before(async () => {
    ({ scene, helper } = await Scene.set({ environment: { ...process.env, SUDO_UID: `${nobody}` } }).then((it) => ({
      scene: it,
      helper: it.helper,
    })));
    chmodSync(scene.folder, 0o755);
  });
  after(() => scene[Symbol.asyncDispose]());

  function image(name: string, owner: number, mode: number): string {
    const path = scene.workshop.path(name);
    writeFileSync(path, pattern(MiB, owner + 1));
    chownSync(path, owner, owner === 0 ? 0 : nobody);
    chmodSync(path, mode);
    return path;
  }
  const detach = (device: string) => helper.request("loop/detach", { device });

  it("knows whom", async () => {
    const { caller, uid, privileged } = await helper.request("helper/info", {});
    assert.deepEqual(caller, { uid: nobody, gid: nobody, name: "nobody" });
    assert.deepEqual([uid, privileged], [0, true]);
  });

  it("opens what that user may open", async () => {
    const { device, readOnly } = await attached(helper, { path: image("mine.img", nobody, 0o600) });
    assert.equal(readOnly, false);
    await detach(device);
  });

  it("refuses what only root may read, in every mode", async () => {
    const path = image("secret.img", 0, 0o600);
    for (const params of [{}, { readOnly: true }, { readOnly: false }, { inMemory: true }]) {
      await assert.rejects(
        helper.request("loop/attach", { path, ...params }),
        problem("notPermitted", { errno: "EACCES", says: /can't be (read|written) by nobody/ }),
      );
    }
    const folder = scene.workshop.path("closed");
    mkdirSync(folder, { mode: 0o700 });
    writeFileSync(`${folder}/image`, "");
    await assert.rejects(helper.request("loop/attach", { path: `${folder}/image` }), problem("notPermitted"));
    assert.deepEqual(scene.bound(), []);
  });

  it("readOnly auto: read-only where that user may only read", async () => {
    const path = image("shared.img", 0, 0o644);
    const { device, readOnly } = await attached(helper, { path });
    assert.equal(readOnly, true);
    await detach(device);
    await assert.rejects(
      helper.request("loop/attach", { path, readOnly: false }),
      problem("notPermitted", { errno: "EACCES" }),
    );
  });

  it("doesn't lend root's rights to a symbolic link, nor root's group to anybody", async () => {
    image("secret.img", 0, 0o600);
    symlinkSync("secret.img", scene.workshop.path("link.img"));
    await assert.rejects(
      helper.request("loop/attach", { path: scene.workshop.path("link.img") }),
      problem("notPermitted"),
    );
    const path = image("group.img", 0, 0o660);
    await assert.rejects(helper.request("loop/attach", { path }), problem("notPermitted"));
    // A user whom the user database doesn't know.
    const stranger = await scene.helperWith({ environment: { ...process.env, SUDO_UID: "54321" } });
    await assert.rejects(stranger.request("loop/attach", { path }), problem("notPermitted"));
    assert.deepEqual(identifyCaller({ PKEXEC_UID: "54321" }), { uid: 54321, gid: nobody, groups: [], name: "54321" });
  });

  it("isn't tricked by a name that changes between looking and opening", async () => {
    const path = scene.workshop.path("race.img");
    const own = image("own.img", nobody, 0o644);
    const secret = image("secret.img", 0, 0o600);
    let going = true;
    const swapping = (async () => {
      while (going) {
        for (const target of [own, secret]) {
          symlinkSync(target, `${path}.new`);
          renameSync(`${path}.new`, path);
          await new Promise(setImmediate);
        }
      }
    })();
    try {
      let refused = 0;
      for (let round = 0; round < 150; round++) {
        const answer = await helper.request("loop/attach", { path, readOnly: true }).catch((error: unknown) => error);
        if (answer instanceof Error) {
          refused++;
          continue;
        }
        const { device } = (answer as { device: { device: string } }).device;
        assert.ok(readFileSync(device).equals(pattern(MiB, nobody + 1)));
        await detach(device);
      }
      assert.ok(refused > 0, "the race was run");
    } finally {
      going = false;
      await swapping;
      unlinkSync(path);
    }
  });

  it("asks before it changes a device that somebody else has set up", async () => {
    const path = image("foreign.img", nobody, 0o600);
    const device = run("losetup", ["--find", "--show", path]).trim();
    const foreign = problem("notPermitted", { device, foreign: true, says: /the system or another program/ });
    for (const method of ["loop/detach", "loop/update", "loop/resize", "partition/rescan"] as const) {
      await assert.rejects(helper.request(method, { device }), foreign);
    }
    await helper.request("loop/update", { device, reference: "confirmed", confirmForeign: true });
    await helper.request("loop/detach", { device, confirmForeign: true });

    const root = await scene.helperWith();
    const other = await attached(root, { path: image("roots.img", 0, 0o600) });
    await assert.rejects(
      helper.request("loop/detach", { device: other.device }),
      problem("notPermitted", { foreign: true, says: /set up by root/ }),
    );
    await root.request("loop/detach", { device: other.device });
    assert.deepEqual(scene.bound(), []);
  });

  it("remembers whose it is across helpers, but not across attachments", async () => {
    const path = image("again.img", nobody, 0o600);
    const { device } = await attached(helper, { path });
    const next = await scene.helperWith({ environment: { ...process.env, SUDO_UID: `${nobody}` } });
    await next.request("loop/detach", { device });
    await attached(helper, { path, device });
    run("losetup", ["--detach", device]);
    run("losetup", [device, path]);
    await assert.rejects(helper.request("loop/detach", { device }), problem("notPermitted", { foreign: true }));
    run("losetup", ["--detach", device]);
  });
});
