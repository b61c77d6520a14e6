import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { Changes } from "../../helper/changes";
import type { TestHelper } from "../helper";
import { MiB, run } from "../images";
import { problem, Scene, succeeds, until } from "./scene";

const execute = promisify(execFile);
const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };

// Other tests may use loop devices at the same time: what is counted here is counted in a quiet moment.
describe("devices/changed", { concurrency: false }, () => {
  let scene: Scene;
  let helper: TestHelper;
  const times: number[] = [];
  before(async () => {
    ({ scene, helper } = await Scene.set().then((it) => ({ scene: it, helper: it.helper })));
    helper.connection.onNotification("devices/changed", () => {
      times.push(performance.now());
    });
    // Whoever has been told nothing yet can't be told that it has changed.
    await helper.request("helper/info", {});
  });
  after(() => scene[Symbol.asyncDispose]());

  async function comesAfter(what: string, deed: () => unknown): Promise<void> {
    await sleep(150);
    const before = times.length;
    await deed();
    await until(() => times.length > before, `devices/changed after ${what}`);
  }

  it("comes when somebody else attaches, mounts, unmounts, partitions and detaches", async () => {
    const path = scene.workshop.fileSystem("ext4", "theirs");
    let device = "";
    let target = "";
    await comesAfter("losetup", () => {
      device = run("losetup", ["--find", "--show", path]).trim();
    });
    await comesAfter("mount", () => {
      target = scene.mount(device, "mnt");
    });
    await comesAfter("remount", () => run("mount", ["-o", "remount,ro", target]));
    await comesAfter("umount", () => run("umount", [target]));
    await comesAfter("addpart", () => run("addpart", [device, "1", "0", "1024"]));
    await comesAfter("delpart", () =>
      until(() => succeeds(() => run("delpart", [device, "1"])), "nobody else has a look at the partition"),
    );
    await comesAfter("losetup --detach", () => run("losetup", ["--detach", device]));
  });

  it("comes after changes of our own that the kernel says nothing of", async () => {
    const path = scene.workshop.blank("ours.img", MiB);
    const { device } = (await helper.request("loop/attach", { path })).device;
    await comesAfter("loop/update", () => helper.request("loop/update", { device, reference: "new" }));
    await comesAfter("loop/detach", () => helper.request("loop/detach", { device }));
  });

  it("comes at most once in 50 ms, and after the last change", async () => {
    const path = scene.workshop.blank("often.img", MiB);
    await sleep(150);
    times.length = 0;
    const attached = async () => (await execute("losetup", ["--find", "--show", path], { env })).stdout.trim();
    for (let round = 0; round < 30; round++) {
      // Without blocking ourselves: the time of arrival is what is measured.
      await execute("losetup", ["--detach", await attached()], { env });
    }
    const device = await attached();
    // But for the last one, as the word of it may be here before we have heard that losetup has ended.
    run("losetup", ["--detach", device]);
    const last = performance.now();
    await until(() => (times.at(-1) ?? 0) > last, "one after the last");
    assert.ok(times.length > 1);
    // They are timed where they arrive, and a busy machine delivers one late and the next in time: so not one by one. What
    // happens here makes several a round, wherever it doesn't take longer than they are apart.
    const spent = (times.at(-1) ?? 0) - (times[0] ?? 0);
    assert.ok(times.length - 1 <= spent / 50 + 1, `${times.length} in ${spent} ms`);
  });

  it("doesn't come while nothing changes: not for mounts of others, questions, flushes or refusals", async () => {
    const path = scene.workshop.blank("quiet.img", MiB);
    const { device } = (await helper.request("loop/attach", { path })).device;
    const deeds = async () => {
      await helper.request("devices/list", {});
      await helper.request("helper/info", {});
      await helper.request("loop/findFree", {});
      await helper.request("loop/flush", { device });
      await assert.rejects(helper.request("loop/attach", { path }), problem("overlap"));
      await assert.rejects(helper.request("loop/detach", { device: "/dev/loop99999" }), problem("notFound"));
      run("umount", [scene.mount("none", "tmpfs", "-t", "tmpfs")]);
    };
    // Another run on this machine may change something just then.
    for (let attempt = 1; ; attempt++) {
      await sleep(200);
      const before = times.length;
      await deeds();
      await sleep(200);
      if (times.length === before) {
        break;
      }
      assert.ok(attempt < 20, `${times.length - before} notifications while nothing changed`);
    }
    await helper.request("loop/detach", { device });
  });

  it("costs no CPU time while nothing changes", async () => {
    const { pid } = helper.process;
    const ticks = () => {
      const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
      return Number(fields[11]) + Number(fields[12]);
    };
    // Five seconds after the last request it collects what that has left.
    await sleep(7000);
    for (let attempt = 1; ; attempt++) {
      const [before, notified] = [ticks(), times.length];
      await sleep(2000);
      if (times.length === notified) {
        assert.ok(ticks() - before <= 1, `${ticks() - before} clock ticks in 2 s`);
        break;
      }
      assert.ok(attempt < 5, "never quiet");
    }
  });
});

describe("telling of changes", () => {
  it("is less and less often while they go on, with a deaf ear in between, and at once again after a rest", async () => {
    const times: number[] = [];
    const listened: boolean[] = [];
    // What the kernel has of our socket: protocol 15, and a mask of the groups that it listens to.
    const isListening = () =>
      readFileSync("/proc/net/netlink", "utf8")
        .split("\n")
        .map((line) => line.trim().split(/\s+/))
        .some(([, protocol, port, groups]) => protocol === "15" && port === `${process.pid}` && groups === "00000001");
    const notice = () => {
      assert.ok(isListening());
      changes.noticed();
      listened.push(isListening());
    };
    using changes = new Changes(
      () => {
        times.push(performance.now());
        if (times.length < 6) {
          notice();
        }
      },
      (error) => assert.fail(`${error}`),
    );
    const begun = performance.now();
    notice();
    await until(() => times.length >= 6, "six of them");
    assert.ok(listened.every((is) => !is));
    // Timers count in whole milliseconds.
    const between = times.map((time, index) => time - (times[index - 1] ?? begun));
    [50, 100, 200, 400, 400, 400].forEach((least, index) => {
      assert.ok((between[index] ?? 0) >= least - 2, `${between}`);
    });
    let late = Number.POSITIVE_INFINITY;
    // Another run on this machine may change something just then, and a machine that stands still tells late.
    for (let attempt = 1; late >= 350; attempt++) {
      assert.ok(attempt <= 10, `${late} ms after a rest`);
      await sleep(150);
      const [told, again] = [times.length, performance.now()];
      changes.noticed();
      await until(() => times.length > told, "one more");
      late = (times.at(-1) ?? 0) - again;
    }
  });
});
