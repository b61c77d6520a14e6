import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { KernelError } from "../../helper/linux/errno";
import { O_RDONLY, openFile } from "../../helper/linux/file";
import { call, callAsync, ioctl, ioctlAsync } from "../../helper/linux/libc";

const LOOP_GET_STATUS64 = 0x4c05;
const O_WRONLY = 1;

async function errnoOf(body: () => number | Promise<number>): Promise<string> {
  try {
    await body();
    return "none";
  } catch (error) {
    assert.ok(error instanceof KernelError, `${error}`);
    return error.errno;
  }
}

describe("errno", () => {
  it("is never lost or mixed up among many calls under way at once", async () => {
    using file = openFile("/dev/null", O_RDONLY);
    const what = ["test", "test"] as const;
    const failing: [string, () => number | Promise<number>][] = [
      ["ENOENT", () => callAsync("open", ["/no/such/file", O_RDONLY, 0], what)],
      ["EISDIR", () => callAsync("open", ["/", O_WRONLY, 0], what)],
      ["EBADF", () => callAsync("close", [-1], what)],
      ["EINVAL", () => callAsync("fsync", [file.fd], what)],
      ["ENOTTY", () => ioctlAsync(file.fd, LOOP_GET_STATUS64, Buffer.alloc(232), what)],
      ["ENOTTY", () => ioctl(file.fd, LOOP_GET_STATUS64, Buffer.alloc(232), what)],
      ["ENOTDIR", () => call("open", ["/dev/null/x", O_RDONLY, 0], what)],
      ["EINVAL", () => callAsync("umount2", ["/dev", 0x7fff], what)],
      ["none", () => callAsync("flock", [file.fd, 8], what)],
    ];
    for (let round = 0; round < 20; round++) {
      const calls = Array.from({ length: 300 }, () => failing[Math.floor(Math.random() * failing.length)]);
      const seen = await Promise.all(calls.map((it) => (it ? errnoOf(it[1]) : "")));
      assert.deepEqual(
        seen,
        calls.map((it) => it?.[0]),
      );
    }
  });

  it("a path is never cut at a NUL", async () => {
    assert.equal(await errnoOf(() => call("open", ["/dev/null\0/x", O_RDONLY, 0], ["open", ""])), "EINVAL");
    assert.equal(await errnoOf(() => callAsync("open", ["/dev/null\0/x", O_RDONLY, 0], ["open", ""])), "EINVAL");
  });
});
