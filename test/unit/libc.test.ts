import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { O_RDONLY, openDevice } from "../../helper/linux/file";

test("more calls at once than koffi takes are made one after the other, and each gets its own answer", async () => {
  const folder = mkdtempSync(join(tmpdir(), "diskloom-"));
  try {
    writeFileSync(join(folder, "there"), "");
    const opened = await Promise.allSettled(
      Array.from({ length: 1000 }, (_, index) => openDevice(join(folder, index % 2 ? "there" : "missing"), O_RDONLY)),
    );
    for (const [index, result] of opened.entries()) {
      assert.equal(result.status, index % 2 ? "fulfilled" : "rejected");
      if (result.status === "fulfilled") {
        await result.value[Symbol.asyncDispose]();
      } else {
        assert.equal(result.reason.errno, "ENOENT");
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
