import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { after, before, describe, it } from "node:test";
import { identifyCaller } from "../../helper/caller";
import { expectOwner, forgetOwner, forgetOwnerOf, ownerOf, recordOwner } from "../../helper/owners";
import type { TestHelper } from "../helper";
import { MiB, run } from "../images";
import { attached, pattern, problem, quick, Scene } from "./scene";

/** In each of several ways. */
const RACES = quick ? 100 : 10_000;

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

  it("gives that user a copy in memory to write to of what that user may only read", async () => {
    const path = image("public-copy.img", 0, 0o644);
    const { device, readOnly } = await attached(helper, { path, inMemory: true, readOnly: false });
    assert.equal(readOnly, false);
    await detach(device);
    await assert.rejects(
      helper.request("loop/attach", { path: image("secret-copy.img", 0, 0o600), inMemory: true }),
      problem("notPermitted"),
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

  /** What puts the user's own image and root's in turn where the helper is told to look. */
  const swaps: Record<string, (target: string, path: string) => void> = {
    "a symbolic link": (target, path) => symlinkSync(target, path),
    "the file itself": (target, path) => linkSync(target, path),
    "a folder above it": (target, path) => symlinkSync(dirname(target), path),
  };

  for (const [name, put] of Object.entries(swaps)) {
    it(`isn't tricked by ${name} that is replaced again and again, in ${RACES} tries`, async () => {
      const [own, secret] = ["own", "secret"].map((folder) => {
        mkdirSync(scene.workshop.path(folder), { recursive: true });
        return image(`${folder}/race.img`, folder === "own" ? nobody : 0, folder === "own" ? 0o644 : 0o600);
      });
      assert.ok(own && secret);
      truncateSync(secret, 2 * MiB);
      const spot = scene.workshop.path("spot");
      const path = name === "a folder above it" ? `${spot}/race.img` : spot;
      let going = true;
      let swapped = 0;
      const swapping = (async () => {
        while (going) {
          for (const target of [own, secret]) {
            put(target, `${spot}.new`);
            renameSync(`${spot}.new`, spot);
            swapped++;
            await new Promise(setImmediate);
          }
        }
      })();
      const tryOnce = async (attaching: boolean): Promise<"refused" | "opened"> => {
        try {
          if (attaching) {
            const { device } = await attached(helper, { path, readOnly: true });
            assert.ok(readFileSync(device).equals(readFileSync(own)), `${device} shows root's image`);
            await detach(device);
          } else {
            // Opened in the same way, and much quicker.
            assert.equal((await helper.request("image/inspect", { path })).size, MiB, "root's image was looked at");
          }
          return "opened";
        } catch (error) {
          problem("notPermitted", { errno: "EACCES" })(error);
          return "refused";
        }
      };
      try {
        const times = { refused: 0, opened: 0 };
        for (let round = 0; round < RACES; round++) {
          times[await tryOnce(round % 100 === 0)]++;
        }
        assert.ok(times.refused > 0 && times.opened > 0 && swapped > RACES / 10, JSON.stringify({ ...times, swapped }));
      } finally {
        going = false;
        await swapping;
        unlinkSync(spot);
      }
    });
  }

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
      problem("notPermitted", { foreign: true, says: /set up by root, not by you\.$/ }),
    );
    await root.request("loop/detach", { device: other.device });
    assert.deepEqual(scene.bound(), []);
  });

  const runs = {
    full: "mount -t tmpfs -o size=8k none /run && mkdir /run/diskloom && dd if=/dev/zero of=/run/fill bs=4k || true",
    "read-only": "mount -t tmpfs none /run && mkdir /run/diskloom && mount -o remount,ro /run",
    "another file's": "mount -t tmpfs none /run && touch /run/diskloom",
  };
  for (const [what, mount] of Object.entries(runs)) {
    it(`attaches where it can't be remembered for whom, as /run is ${what}: it is asked for then`, async () => {
      const environment = { ...process.env, SUDO_UID: `${nobody}` };
      const command = ["unshare", "--mount", "sh", "-c", `(${mount}) 2>/dev/null; exec "$@"`, "sh"];
      const other = await scene.helperWith({ command, environment });
      const { device, setUpBy } = await attached(other, { path: image(`run-${what}.img`, nobody, 0o600) });
      assert.equal(setUpBy, undefined);
      await assert.rejects(other.request("loop/detach", { device }), problem("notPermitted", { foreign: true }));
      await other.request("loop/detach", { device, confirmForeign: true });
    });
  }

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

  it("forgets whose it was before others can have the device", async () => {
    const log = scene.workshop.path("strace.log");
    const calls = "trace=ioctl,ftruncate,close";
    const command = ["strace", "-f", "-y", "-s", "200", "-e", calls, "-o", log];
    const traced = await scene.helperWith({ command });
    const { device } = await attached(traced, { path: image("forgotten.img", 0, 0o600) });
    await traced.request("loop/detach", { device });
    const lines = readFileSync(log, "utf8").split("\n");
    const cleared = lines.findIndex((line) => line.includes("LOOP_CLR_FD"));
    const emptied = new RegExp(`ftruncate\\(\\d+</run/diskloom/${device.slice("/dev/".length)}\\.json>, 0\\)`);
    const forgotten = lines.findLastIndex((line) => emptied.test(line));
    const closed = lines.findLastIndex((line) => new RegExp(`close\\(\\d+<${device}[>(]`).test(line));
    assert.ok(cleared > 0 && cleared < forgotten && forgotten < closed, `${[cleared, forgotten, closed]}`);
    assert.deepEqual(scene.bound(), []);
  });

  it("forgets no more than it knew: another one's device may have the node by then", () => {
    const caller = { uid: nobody, gid: nobody, groups: [], name: "nobody" };
    // A node that no device ever has.
    const before = { device: "/dev/dm-9999999", diskSequence: 1, backingInode: 0, backingDevnum: "" };
    const after = { ...before, diskSequence: 2 };
    recordOwner(before, caller);
    recordOwner(after, caller);
    forgetOwnerOf(before);
    assert.equal(ownerOf(after), nobody);
    forgetOwnerOf(after);
    assert.equal(ownerOf(after), undefined);
    unlinkSync("/run/diskloom/dm-9999999.json");
  });

  it("expects whose a device will be, and remembers what became of that: the last line that is whole", () => {
    const caller = { uid: nobody, gid: nobody, groups: [], name: "nobody" };
    const unbound = { device: "/dev/dm-9999998", diskSequence: 7, backingInode: 12, backingDevnum: "8:1" };
    const bound = { ...unbound, diskSequence: 9 };
    expectOwner(unbound, caller);
    assert.equal(ownerOf(bound), nobody, "whatever number it gets");
    assert.equal(ownerOf(unbound), undefined, "not what was there before");
    assert.equal(ownerOf({ ...bound, backingInode: 13 }), undefined, "nor another image");
    assert.ok(recordOwner(bound, caller, true));
    assert.equal(ownerOf(bound), nobody);
    assert.equal(ownerOf({ ...bound, diskSequence: 10 }), undefined, "nor the same image a second time");
    writeFileSync("/run/diskloom/dm-9999998.json", '{"uid":0,"identity":"sequence 9"', { flag: "a" });
    assert.equal(ownerOf(bound), nobody, "what is just being written doesn't count yet");
    forgetOwner(unbound.device);
    assert.equal(ownerOf(bound), undefined);
    assert.ok(recordOwner(bound, { ...caller, uid: 0 }));
    assert.equal(ownerOf(bound), 0, "by the same file");
    assert.ok(recordOwner(bound, caller));
    assert.equal(ownerOf(bound), nobody, "also where nobody has emptied it before");
    unlinkSync("/run/diskloom/dm-9999998.json");
    forgetOwner(unbound.device);
  });
});
