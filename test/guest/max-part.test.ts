/* A loop driver that keeps minors for partitions: a device's minor is not its number then, which one of the seeds takes it for. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { TestHelper } from "../helper";

test("with max_part, the device that was attached is the one that is shown, found without its node, and detached", async () => {
  // Nothing may have a loop device open then.
  execFileSync("udevadm", ["settle"]);
  execFileSync("modprobe", ["--remove", "loop"]);
  execFileSync("modprobe", ["loop", "max_part=15"]);
  const folder = mkdtempSync(join(tmpdir(), "diskloom-"));
  try {
    await using helper = await TestHelper.start();
    const path = join(folder, "image");
    const content = Buffer.alloc(1 << 20, "diskloom");
    writeFileSync(path, content);
    const { device } = await helper.request("loop/attach", { path, device: "/dev/loop3" });
    assert.equal(device.devnum, "7:48");
    rmSync(device.device);
    await helper.request("loop/flush", { device: device.device, diskSequence: device.diskSequence });
    assert.ok(execFileSync("cat", [device.device]).equals(content));
    const { state } = await helper.request("loop/detach", { device: device.device });
    assert.equal(state, "detached");
  } finally {
    rmSync(folder, { recursive: true });
    execFileSync("udevadm", ["settle"]);
    // The helper's node, which the kernel doesn't take away with the driver: the next one's numbers are others.
    rmSync("/dev/loop3", { force: true });
    execFileSync("modprobe", ["--remove", "loop"]);
    execFileSync("modprobe", ["loop"]);
  }
});
