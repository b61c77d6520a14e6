/* Members of a software RAID, made by mdadm: shown as what they are, not mounted, and not detached from under an array. */
import assert from "node:assert/strict";
import { realpathSync } from "node:fs";
import { describe, it } from "node:test";
import { blkid, MiB, run } from "../images";
import { attached, letUdevLook, problem, Scene } from "../kernel/scene";

const ARRAY = "/dev/md/diskloom";

describe("a member of a RAID array", { concurrency: false }, () => {
  // 1.0 is at the end: what is on the array then seems to be on each of its members, too.
  for (const metadata of ["1.2", "1.0"]) {
    it(`by metadata ${metadata} is shown as such, and why it can't be mounted`, async () => {
      run("modprobe", ["--all", "md-mod", "raid1"]);
      await using scene = await Scene.set();
      const { helper, workshop } = scene;
      const images = ["one.img", "two.img"].map((name) => workshop.blank(name, 16 * MiB));
      const nodes: string[] = [];
      for (const path of images) {
        nodes.push((await attached(helper, { path })).device);
      }
      const listed = async () => {
        const { devices } = await helper.request("devices/list", {});
        return devices.filter(({ device }) => nodes.includes(device));
      };
      try {
        const options = ["--run", "--level=1", "--raid-devices=2", `--metadata=${metadata}`, "--assume-clean"];
        run("mdadm", ["--create", ARRAY, ...options, ...nodes]);
        // Which makes the array's link; mdadm waits for that, but not for long.
        letUdevLook();
        run("mkfs.ext4", ["-q", "-F", ARRAY]);
        const array = realpathSync(ARRAY);
        for (const { device, holders } of await listed()) {
          assert.deepEqual(holders, [array]);
          await assert.rejects(
            helper.request("loop/detach", { device }),
            problem("busy", { users: [{ kind: "holder", device: array }] }),
          );
          await assert.rejects(
            helper.request("mount/mount", { device }),
            problem("invalid", { says: /it is a part of a RAID array \(linux_raid_member\)\. Assemble that first/ }),
          );
        }
      } finally {
        run("mdadm", ["--stop", ARRAY]);
      }
      for (const [index, { content, device }] of (await listed()).entries()) {
        const said = blkid(device);
        assert.deepEqual(content, {
          kind: "raid",
          type: said?.TYPE,
          label: said?.LABEL,
          uuid: said?.UUID,
        });
        assert.equal(content.type, "linux_raid_member");
        assert.deepEqual((await helper.request("image/inspect", { path: images[index] ?? "" })).content, content);
      }
    });
  }
});
