/* That a test which fails midway leaves nothing, whatever it had built on its images by then. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { it } from "node:test";
import { MiB, run } from "../images";
import { boundIn, imageOf, Scene, sys } from "./scene";

const hasMapper = readFileSync("/proc/devices", "utf8").includes("device-mapper");
const MAPPED = `diskloom-scene-${process.pid}`;

const losetup = (...args: string[]) => run("losetup", ["--find", "--show", ...args]).trim();

it("a scene that ends early lets go of all that stands on its images, and of nothing else", async () => {
  await using others = await Scene.set();
  const theirs = losetup(others.workshop.blank("theirs.img", MiB));
  const onTheirs = losetup(theirs);
  /** Each with the kernel's number for this use of it. */
  let built: [device: string, use: string][] = [];
  {
    await using scene = await Scene.set();
    const { workshop } = scene;
    const disk = losetup(workshop.disk("disk.img", 64 * MiB, "label: gpt\nstart=2048, size=8M\nsize=40M\n"));
    for (const [number, start, size] of [
      ["1", "2048", "16384"],
      ["2", "18432", "81920"],
    ] as const) {
      if (!existsSync(`/sys/class/block/${disk.slice(5)}p${number}`)) {
        run("addpart", [disk, number, start, size]);
      }
    }
    // A file system on a partition, an image in it, a file system on that, in it an image again.
    run("mkfs.ext4", ["-q", `${disk}p2`]);
    const outer = scene.mount(`${disk}p2`, "outer");
    mkdirSync(`${outer}/a b`);
    run("mkfs.ext4", ["-q", `${outer}/a b/inner.img`, "20M"]);
    const inner = losetup(`${outer}/a b/inner.img`);
    const target = scene.mount(inner, "with a blank");
    run("truncate", ["--size=1M", `${target}/innermost.img`]);
    const innermost = losetup(`${target}/innermost.img`);
    // A device on a device, by a node that isn't in /dev, and one on a partition: swap space.
    run("cp", ["--archive", innermost, workshop.path("node")]);
    const onDevice = losetup(workshop.path("node"));
    const swap = losetup(`${disk}p1`);
    run("mkswap", ["-q", swap]);
    run("swapon", [swap]);
    if (hasMapper) {
      run("dmsetup", ["create", MAPPED, "--table", `0 2048 linear ${onDevice} 0`]);
      run("dmsetup", ["suspend", MAPPED]);
    }
    built = [disk, inner, innermost, onDevice, swap].map((device) => [device, sys(device, "diskseq")]);
  }
  for (const [device, use] of built) {
    assert.notEqual(sys(device, "diskseq"), use, device);
  }
  assert.ok(!hasMapper || !run("dmsetup", ["ls"]).includes(MAPPED));
  assert.doesNotMatch(readFileSync("/proc/self/mountinfo", "utf8"), /outer|with\\040a\\040blank/);
  assert.deepEqual(boundIn(others.folder), [theirs]);
  assert.equal(imageOf(onTheirs), theirs);
});
