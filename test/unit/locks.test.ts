import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, it } from "node:test";
import { O_RDONLY, openFile } from "../../helper/linux/file";
import { flockHolder, parseFlockHolder } from "../../helper/linux/locks";
import { Workshop } from "../images";

describe("who holds a BSD lock", () => {
  it("is the process that has it, and nobody before and after", async () => {
    using workshop = new Workshop();
    using file = openFile(workshop.blank("locked", 512), O_RDONLY);
    assert.equal(flockHolder(file), undefined);
    const child = spawn("flock", ["--exclusive", "--no-fork", file.path, "sh", "-c", "echo locked; exec cat"]);
    await once(child.stdout, "data");
    assert.equal(flockHolder(file), String(child.pid));
    const gone = once(child, "exit");
    child.stdin.end();
    await gone;
    assert.equal(flockHolder(file), undefined);
  });

  it("is not who waits for it, nor who shares it, nor the holder of another file", () => {
    const locks = [
      "1: POSIX  ADVISORY  WRITE 10 fe:00:77 0 EOF",
      "2: FLOCK  ADVISORY  READ  11 fe:00:77 0 EOF",
      "3: FLOCK  ADVISORY  WRITE 12 fe:01:77 0 EOF",
      "4: FLOCK  ADVISORY  WRITE 13 fe:00:77 0 EOF",
      "4: -> FLOCK  ADVISORY  WRITE 14 fe:00:77 0 EOF",
    ];
    assert.equal(parseFlockHolder(locks.join("\n"), 0xfe00n, 77n), "13");
    assert.equal(parseFlockHolder(locks.slice(0, 3).join("\n"), 0xfe00n, 77n), undefined);
    assert.equal(parseFlockHolder("1: FLOCK  ADVISORY  WRITE 9 103:12345:5 0 EOF", 0x1231_0345n, 5n), "9");
  });
});
