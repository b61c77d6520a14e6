import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { formatSize } from "../../extension/devices/format";
import { offsetObjection, parseSize, sizeObjection } from "../../extension/devices/size";
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

describe("sizes as typed", () => {
  for (const [text, bytes] of [
    ["0", 0],
    ["65536", 65536],
    [" 1MiB ", 2 ** 20],
    ["1 mib", 2 ** 20],
    ["64K", 65536],
    ["1.5 GiB", 1.5 * 2 ** 30],
    ["2048s", 2 ** 20],
    ["512 B", 512],
    ["2TiB", 2 ** 41],
  ] as const) {
    test(`“${text}” is ${bytes} bytes`, () => assert.equal(parseSize(text), bytes));
  }

  for (const text of ["", "MiB", "-1", "1 MB", "1.3 B", "0.1KiB", "1e6", "0x200", "1 MiB 2", "9999999T", "1,5 MiB"]) {
    test(`“${text}” is no size`, () => assert.equal(parseSize(text), undefined));
  }

  test("an offset must be in the image, with room for a sector", () => {
    assert.equal(offsetObjection("1MiB", 2 ** 21), undefined);
    assert.equal(offsetObjection("1MiB", undefined), undefined);
    assert.equal(offsetObjection("512", 1024), undefined);
    assert.match(offsetObjection("513", 1024) ?? "", /ends before that: it has 1 KiB \(1024 bytes\)/);
    assert.match(offsetObjection("one", 1024) ?? "", /^Write a whole number of bytes/);
  });

  test("a size must be of whole sectors and end in the image; none is up to its end", () => {
    assert.equal(sizeObjection("", 1024), undefined);
    assert.equal(sizeObjection("2s", 1024), undefined);
    assert.equal(sizeObjection("4TiB", undefined), undefined);
    assert.match(sizeObjection("3s", 1024) ?? "", /only 1 KiB \(1024 bytes\) from there on/);
    assert.match(sizeObjection("100", 1024) ?? "", /multiple of 512/);
    assert.match(sizeObjection("0", 1024) ?? "", /^Write a number of bytes/);
  });
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
