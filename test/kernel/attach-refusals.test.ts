import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { after, before, describe, it } from "node:test";
import type { TestHelper } from "../helper";
import { KiB, MiB, run } from "../images";
import { helperWithOwnDev } from "./own-dev";
import { attached, badParams, imageOf, problem, Scene } from "./scene";

describe("what loop/attach refuses, leaving nothing behind", { concurrency: false }, () => {
  let scene: Scene;
  let helper: TestHelper;
  before(async () => {
    ({ scene, helper } = await Scene.set().then((it) => ({ scene: it, helper: it.helper })));
  });
  after(() => scene[Symbol.asyncDispose]());

  const refused = async (params: object, expected: (error: unknown) => boolean) => {
    const path = scene.workshop.path("image.img");
    await assert.rejects(helper.request("loop/attach", { path, ...params }), expected);
    assert.deepEqual(scene.bound(), []);
  };

  it("a folder, a socket, a named pipe, a character device", async () => {
    const socket = scene.workshop.path("socket");
    const server = createServer().listen(socket);
    try {
      run("mkfifo", [scene.workshop.path("pipe")]);
      for (const [path, kind] of [
        [scene.folder, /is a folder/],
        [socket, /is a socket/],
        [scene.workshop.path("pipe"), /is a named pipe/],
        ["/dev/null", /is a character device/],
      ] as const) {
        await refused({ path }, problem("invalid", { says: kind }));
      }
    } finally {
      server.close();
    }
  });

  it("a missing file, a missing folder, a file as a folder, a loop of links", async () => {
    await refused({ path: scene.workshop.path("none") }, problem("notFound", { errno: "ENOENT" }));
    await refused({ path: scene.workshop.path("none/none") }, problem("notFound"));
    scene.workshop.blank("image.img", MiB);
    await refused({ path: scene.workshop.path("image.img/x") }, problem("notFound", { errno: "ENOTDIR" }));
    run("ln", ["-s", "round", scene.workshop.path("round")]);
    await refused({ path: scene.workshop.path("round") }, problem("invalid", { errno: "ELOOP" }));
  });

  it("a name that isn't UTF-8, saying so", async () => {
    execFileSync("sh", ["-c", `truncate -s 1M "$(printf '%s/bytes-\\377\\376' '${scene.folder}')"`]);
    // That is what such a name becomes on its way through VS Code.
    const path = scene.workshop.path("bytes-\uFFFD\uFFFD");
    await refused({ path }, problem("notFound", { says: /isn't valid UTF-8/ }));
  });

  it("while a device whose image has such a name is listed, flushed and detached", async () => {
    const raw = `$(printf '%s/bytes-\\377\\376' '${scene.folder}')`;
    const device = execFileSync("sh", ["-c", `losetup --find --show "${raw}"`], { encoding: "utf8" }).trim();
    try {
      const { devices } = await helper.request("devices/list", {});
      const found = devices.find((it) => it.device === device);
      assert.ok(found?.kind === "loop");
      assert.equal(found.backingFile, scene.workshop.path("bytes-\uFFFD\uFFFD"));
      assert.equal(found.backingFileDeleted, false);
      await helper.request("loop/flush", { device });
    } finally {
      await helper.request("loop/detach", { device, confirmForeign: true });
    }
    assert.equal(imageOf(device), undefined);
  });

  it("an empty file, and one with less than a sector", async () => {
    await refused({ path: scene.workshop.blank("empty.img", 0) }, problem("invalid", { says: /is empty/ }));
    await refused(
      { path: scene.workshop.blank("short.img", 511) },
      problem("invalid", { says: /less than one sector/ }),
    );
  });

  it("an offset past the end, a size limit past the end or of part of a sector", async () => {
    await refused({ offset: MiB }, problem("invalid", { says: /beyond the end/ }));
    await refused({ offset: MiB - 100 }, problem("invalid", { says: /less than one sector/ }));
    await refused({ sizeLimit: 2 * MiB }, problem("invalid", { says: /reaches beyond the end/ }));
    await refused({ offset: 512 * KiB, sizeLimit: MiB }, problem("invalid", { says: /reaches beyond the end/ }));
    // The kernel cuts it to 512 and says nothing.
    await refused({ sizeLimit: 1000 }, problem("invalid", { says: /isn't a multiple of 512/ }));
  });

  it("params that can't be", async () => {
    await refused({ path: "image.img" }, badParams("path"));
    await refused({ path: `${scene.workshop.path("image.img")}\0x` }, badParams("path"));
    await refused({ reference: "x".repeat(64) }, badParams("reference"));
    await refused({ reference: "ü".repeat(32) }, badParams("reference"));
    await refused({ reference: "a\0b" }, badParams("reference"));
    await refused({ offset: -1 }, badParams("offset"));
    await refused({ offset: 1.5 }, badParams("offset"));
    await refused({ sizeLimit: 2 ** 53 }, badParams("sizeLimit"));
    await refused({ sectorSize: 513 }, badParams("sectorSize"));
    await refused({ readOnly: "maybe" }, badParams("readOnly"));
    await refused({ device: "/dev/sda" }, badParams("device"));
    await refused({ device: "/dev/loop07" }, badParams("device"));
    await refused({ device: "/dev/loop0/../sda" }, badParams("device"));
    await refused({ colour: "red" }, badParams("colour"));
  });

  it("a running program for writing", async () => {
    const program = scene.workshop.path("program");
    run("cp", ["/bin/sleep", program]);
    const { spawn } = await import("node:child_process");
    const running = spawn(program, ["60"]);
    try {
      await new Promise((resolve) => running.once("spawn", resolve));
      await refused({ path: program }, problem("busy", { errno: "ETXTBSY" }));
    } finally {
      running.kill();
    }
  });

  it("everything, where /dev/loop-control is missing, and says what to do", async () => {
    const script = `mount -t tmpfs none /dev && exec "$0" "$@"`;
    const other = await scene.helperWith({ command: ["unshare", "--mount", "sh", "-c", script] });
    await assert.rejects(
      other.request("loop/attach", { path: scene.workshop.path("image.img") }),
      problem("unsupported", { errno: "ENOENT", says: /There is no \/dev\/loop-control here\. Load/ }),
    );
  });

  it("nothing for want of a node: a container with no more than /dev/loop-control", async () => {
    const { helper: other } = await helperWithOwnDev(scene);
    const device = await attached(other, { path: scene.workshop.path("image.img") });
    assert.equal(device.size, MiB);
    await other.request("loop/detach", { device: device.device, remove: false });
    assert.deepEqual(scene.bound(), []);
  });

  it("everything that needs root, of a helper without", async () => {
    const image = scene.workshop.path("image.img");
    chmodSync(scene.folder, 0o755);
    writeFileSync(image, Buffer.alloc(MiB), { mode: 0o666 });
    const other = await scene.helperWith({
      command: ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
    });
    await assert.rejects(other.request("loop/attach", { path: image }), problem("notPrivileged"));
    const device = await attached(helper, { path: image, reference: "shown?" });
    try {
      await assert.rejects(other.request("loop/detach", { device: device.device }), problem("notPrivileged"));
      // The tree works without.
      const { devices } = await other.request("devices/list", {});
      const seen = devices.find((it) => it.device === device.device);
      assert.ok(seen?.kind === "loop");
      assert.equal(seen.backingFile, device.backingFile);
      assert.equal(seen.backingInode, device.backingInode);
      assert.equal(seen.size, device.size);
      assert.equal(seen.diskSequence, device.diskSequence);
    } finally {
      await helper.request("loop/detach", { device: device.device });
    }
  });
});
