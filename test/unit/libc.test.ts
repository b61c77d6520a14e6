import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { O_RDONLY } from "../../helper/linux/file";
import { call, callAsync } from "../../helper/linux/libc";

test("more calls at once than koffi takes are made one after the other, and each gets its own answer", async () => {
  const folder = mkdtempSync(join(tmpdir(), "diskloom-"));
  try {
    writeFileSync(join(folder, "there"), "");
    const opened = await Promise.allSettled(
      Array.from({ length: 1000 }, (_, index) => {
        const path = join(folder, index % 2 ? "there" : "missing");
        return callAsync("open", [path, O_RDONLY, 0], ["open", path]);
      }),
    );
    for (const [index, result] of opened.entries()) {
      assert.equal(result.status, index % 2 ? "fulfilled" : "rejected");
      if (result.status === "fulfilled") {
        call("close", [result.value], ["close", folder]);
      } else {
        assert.equal(result.reason.errno, "ENOENT");
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
