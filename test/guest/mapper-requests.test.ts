/* `mapper/*` as a client meets them: over the protocol, with what `devices/list` shows of it. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { ResponseError } from "vscode-jsonrpc/node";
import type { LoopDevice, MapperDevice, ProblemData } from "../../helper/protocol";
import { TestHelper } from "../helper";
import { letUdevLook, until } from "../kernel/scene";

const SECTORS = 16384;

async function refusal(request: Promise<unknown>): Promise<ProblemData> {
  const error = await request.then(
    () => assert.fail("it was not refused"),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof ResponseError, String(error));
  return error.data;
}

describe("mapper requests", () => {
  const folder = mkdtempSync(join(tmpdir(), "diskloom-"));
  let helper: TestHelper;
  let loop: LoopDevice;

  const list = async () => (await helper.request("devices/list", {})).devices;
  const listed = async (device: string) =>
    (await list()).find((candidate): candidate is MapperDevice => candidate.device === device);
  const linear = (params = `${loop.device} 0`) => [{ startSectors: 0, lengthSectors: SECTORS, type: "linear", params }];

  before(async () => {
    helper = await TestHelper.start();
    const image = join(folder, "disk.img");
    writeFileSync(image, "");
    truncateSync(image, SECTORS * 512);
    loop = (await helper.request("loop/attach", { path: image })).device;
  });

  after(async () => {
    const { device } = loop;
    await helper.request("loop/detach", { device });
    await helper[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  });

  test("the helper says what this kernel's device mapper can", async () => {
    const { features } = await helper.request("helper/info", {});
    assert.match(features.deviceMapper ?? "", /^4\.\d+\.\d+$/);
    assert.ok(features.mapperTargets.includes("linear"));
    const { targets } = await helper.request("mapper/targets", {});
    assert.deepEqual(
      targets.map(({ name }) => name),
      [...features.mapperTargets].sort(),
    );
  });

  test("a device is made, listed as holder of what it stands on, suspended, resumed, renamed and removed", async () => {
    const { device } = await helper.request("mapper/create", { name: "one", uuid: "DISKLOOM-1", table: linear() });
    assert.equal(device.device, "/dev/mapper/one");
    assert.equal(device.size, SECTORS * 512);
    assert.deepEqual(device.dependencies, [loop.devnum]);
    assert.deepEqual(await listed(device.device), device);
    const below = (await list()).find((candidate) => candidate.device === loop.device);
    assert.deepEqual(below?.holders, [device.device]);

    const named = { device: device.device, diskSequence: device.diskSequence };
    const suspended = await helper.request("mapper/suspend", named);
    assert.equal(suspended.device.suspended, true);
    // A list must not wait for a device that answers no reads.
    assert.equal((await listed(device.device))?.suspended, true);
    assert.equal((await helper.request("mapper/resume", named)).device.suspended, false);

    const renamed = await helper.request("mapper/rename", { ...named, name: "two" });
    assert.equal(renamed.device.device, "/dev/mapper/two");
    assert.equal(await listed(device.device), undefined);
    const removed = await helper.request("mapper/remove", { device: "/dev/mapper/two" });
    assert.deepEqual(removed, { state: "removed", users: [] });
    assert.equal(await listed("/dev/mapper/two"), undefined);
  });

  test("the users of a busy device are named, and it goes when they have gone", async () => {
    const { device } = await helper.request("mapper/create", { name: "busy", table: linear() });
    execFileSync("mkfs.ext4", ["-q", device.device]);
    const target = mkdtempSync(join(tmpdir(), "diskloom-"));
    execFileSync("mount", [device.device, target]);
    letUdevLook();
    const refused = await refusal(helper.request("mapper/remove", { device: device.device }));
    assert.equal(refused.reason, "busy");
    assert.deepEqual(refused.users, [{ kind: "mount", target }]);
    assert.equal((await listed(device.device))?.mounts[0]?.target, target);
    const removed = await helper.request("mapper/remove", { device: device.device, whenBusy: "unmount" });
    assert.equal(removed.state, "removed");
    rmSync(target, { recursive: true });
  });

  test("a loop device that something stands on is not detached", async () => {
    await helper.request("mapper/create", { name: "above", table: linear() });
    const refused = await refusal(helper.request("loop/detach", { device: loop.device }));
    assert.equal(refused.reason, "busy");
    assert.deepEqual(refused.users, [{ kind: "holder", device: "/dev/mapper/above" }]);
    await helper.request("mapper/remove", { device: "/dev/mapper/above" });
  });

  test("a device that somebody else made is changed only when that is confirmed", async () => {
    execFileSync("dmsetup", ["create", "theirs", "--table", "0 8 zero"]);
    const device = "/dev/mapper/theirs";
    const refused = await refusal(helper.request("mapper/remove", { device }));
    assert.deepEqual([refused.reason, refused.foreign], ["notPermitted", true]);
    assert.ok(await listed(device));
    assert.equal((await helper.request("mapper/remove", { device, confirmForeign: true })).state, "removed");
  });

  test("a device that was made anew under the same name is not touched", async () => {
    const table = [{ startSectors: 0, lengthSectors: 8, type: "zero", params: "" }];
    const before = (await helper.request("mapper/create", { name: "same", table })).device;
    await helper.request("mapper/remove", { device: before.device });
    const now = (await helper.request("mapper/create", { name: "same", table })).device;
    const { device, diskSequence } = before;
    assert.equal((await refusal(helper.request("mapper/suspend", { device, diskSequence }))).reason, "stale");
    assert.equal((await listed(device))?.suspended, false);
    await helper.request("mapper/remove", { device, diskSequence: now.diskSequence });
  });

  test("a helper without rights shows what everybody may see", async () => {
    await helper.request("mapper/create", { name: "shown", uuid: "DISKLOOM-2", table: linear() });
    const command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    await using other = await TestHelper.start({ command });
    const { devices } = await other.request("devices/list", {});
    const shown = devices.find((candidate) => candidate.device === "/dev/mapper/shown");
    assert.ok(shown?.kind === "mapper");
    assert.deepEqual([shown.uuid, shown.size, shown.dependencies], ["DISKLOOM-2", SECTORS * 512, [loop.devnum]]);
    const refused = await refusal(other.request("mapper/remove", { device: shown.device }));
    assert.equal(refused.reason, "notPrivileged");
    await helper.request("mapper/remove", { device: shown.device });
  });

  test("changes made by others are told", async () => {
    const before = helper.changes;
    execFileSync("dmsetup", ["create", "told", "--table", "0 8 zero"]);
    execFileSync("dmsetup", ["remove", "--retry", "told"]);
    await until(() => helper.changes > before, "no word of a change", 30_000);
  });
});
