import assert from "node:assert/strict";
import { statfsSync, unlinkSync, writeFileSync } from "node:fs";
import { release } from "node:os";
import { after, before, describe, it } from "node:test";
import * as v from "valibot";
import { describeLoop } from "../../helper/inventory";
import { interposeIoctl } from "../../helper/linux/libc";
import { attach } from "../../helper/loop/attach";
import { detach } from "../../helper/loop/detach";
import { type CheckedParams, requests } from "../../helper/protocol";
import { KiB, MiB } from "../images";
import { pattern, Scene } from "./scene";

// ext4, XFS, tmpfs: <linux/magic.h>
const LOCAL = [0xef53, 0x58465342, 0x01021994];

const root = { uid: 0, gid: 0, groups: [], name: "root" };
const noWork = { signal: new AbortController().signal, report() {} };

/** Where the calls were made that bind and unbind: on our own thread, or on another that may wait. */
class Threads implements Disposable {
  readonly seen = new Map<string, "own" | "other">();
  readonly #layer = interposeIoctl((below) => ({
    sync: (ioctl) => {
      this.seen.set(ioctl.what[0], "own");
      return below.sync(ioctl);
    },
    async: (ioctl) => {
      this.seen.set(ioctl.what[0], "other");
      return below.async(ioctl);
    },
  }));

  [Symbol.dispose](): void {
    this.#layer[Symbol.dispose]();
  }
}

describe("what nobody has to wait for is done at once, and nothing else", () => {
  let scene: Awaited<ReturnType<typeof Scene.set>>;
  let own: "own" | "other";
  before(async () => {
    scene = await Scene.set();
    own = LOCAL.includes(statfsSync(scene.folder).type) ? "own" : "other";
    // The kernel's manners are found out by doing it once.
    await cycle(scene.workshop.blank("first.img", MiB));
  });
  after(() => scene[Symbol.asyncDispose]());

  async function attached(path: string): Promise<string> {
    const wish = v.parse(requests["loop/attach"].params, { path }) as CheckedParams<"loop/attach">;
    return (await attach(wish, root, noWork, describeLoop)).device.device;
  }

  async function detached(device: string): Promise<void> {
    const wish = v.parse(requests["loop/detach"].params, { device }) as CheckedParams<"loop/detach">;
    assert.deepEqual(await detach(wish, root, noWork), { state: "detached", users: [] });
  }

  async function cycle(path: string, between = () => {}): Promise<(string | undefined)[]> {
    using threads = new Threads();
    const device = await attached(path);
    between();
    await detached(device);
    assert.deepEqual(scene.bound(), []);
    return ["LOOP_CONFIGURE", "LOOP_CLR_FD"].map((call) => threads.seen.get(call));
  }

  /** Since Linux 6.11 LOOP_CLR_FD waits for nothing. */
  const marksOnly = () => {
    const [major = 0, minor = 0] = release().split(".").map(Number);
    return major > 6 || (major === 6 && minor >= 11);
  };

  it("an image that is nothing but a hole", async () => {
    assert.deepEqual(await cycle(scene.workshop.blank("blank.img", MiB)), [own, marksOnly() ? own : "other"]);
  });

  it("not where the kernel may have to read, were it written a moment ago and never synced", async () => {
    const path = scene.workshop.blank("written.img", MiB);
    writeFileSync(path, pattern(4 * KiB, 1), { flag: "r+" });
    assert.equal((await cycle(path))[0], "other");
  });

  it("not where detaching frees a deleted image", async () => {
    const path = scene.workshop.blank("deleted.img", MiB);
    assert.deepEqual(await cycle(path, () => unlinkSync(path)), [own, "other"]);
  });

  it("not a device that another helper has attached", async () => {
    const path = scene.workshop.blank("others.img", MiB);
    const { device } = await scene.helper.request("loop/attach", { path });
    using threads = new Threads();
    await detached(device.device);
    assert.equal(threads.seen.get("LOOP_CLR_FD"), "other");
  });
});
