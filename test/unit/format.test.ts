import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { formatSize } from "../../extension/devices/format";
import { formatTable, parseTable } from "../../extension/devices/tableText";

describe("sizes", () => {
  for (const [bytes, text] of [
    [0, "0 B"],
    [512, "512 B"],
    [1536, "1.5 KiB"],
    [64 * 2 ** 20, "64 MiB"],
    [107 * 2 ** 20 + 2 ** 19, "108 MiB"],
    [2 ** 60, "1 EiB"],
  ] as const) {
    test(`${bytes} bytes are ${text}`, () => assert.equal(formatSize(bytes), text));
  }
});

describe("tables as text", () => {
  test("are read as they were written", () => {
    const text = "0 2048 linear 7:0 0\n2048 8 zero\n2056 8 striped 2 4 7:0 0 7:1 0\n";
    assert.equal(formatTable(parseTable(text)), text);
  });

  test("may have comments, empty lines and any white space", () => {
    const text = "\n# a comment\n  0   2048\tlinear  /dev/loop0 0   # and one more\r\n\n2048 8 zero";
    assert.deepEqual(parseTable(text), [
      { startSectors: 0, lengthSectors: 2048, type: "linear", params: "/dev/loop0 0" },
      { startSectors: 2048, lengthSectors: 8, type: "zero", params: "" },
    ]);
  });

  test("are refused by the number of the line, without its text, which may be a key", () => {
    for (const line of ["zero", "0 zero", "-1 8 zero", "0 99999999999999999 zero", "a b c secret"]) {
      assert.throws(
        () => parseTable(`# first\n${line}`),
        (error: Error) => error.message.includes("Line 2") && !error.message.includes("secret"),
      );
    }
  });
});
