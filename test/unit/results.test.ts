/* What `npm test` says of failures in its last lines: all that one needs, and no more than a CI shows. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { root } from "../helper";
import { Workshop } from "../images";

/** Runs tests as `npm test` does. */
async function resultsOf(workshop: Workshop, sources: Record<string, string>) {
  const tools: typeof import("../tools/results.mjs") = await import(
    pathToFileURL(join(root, "test/tools/results.mjs")).href
  );
  const files = Object.entries(sources).map(([name, source]) => {
    const file = workshop.path(`${name}.test.cjs`);
    const common =
      'const { describe, it, test, before } = require("node:test"); const assert = require("node:assert");';
    writeFileSync(file, `${common}\n${source}`);
    return file;
  });
  const reporter = join(root, "test/tools/reporter.mjs");
  const into = workshop.path("results");
  // Else Node takes itself for a test file of this run.
  const { NODE_TEST_CONTEXT, ...env } = process.env;
  const args = ["--test", "--test-concurrency=1", `--test-reporter=${reporter}`, `--test-reporter-destination=${into}`];
  const { status } = spawnSync(process.execPath, [...args, ...files], { env });
  const count = tools.readResults(into, status);
  return { count, told: count.failures.map((failure) => tools.inFull("unit", failure)), tools };
}

describe("what is said of failures", () => {
  it("names the test and those around it, says why and where, in less than a dozen lines", async () => {
    using workshop = new Workshop();
    const long = 'Array.from({ length: 40 }, (_, index) => "same " + index)';
    const { count, told, tools } = await resultsOf(workshop, {
      one: `describe("around", () => {
        it("passes", () => {});
        it("compares", () => assert.deepStrictEqual([...${long}, 1], [...${long}, 2]));
      });`,
      two: `test("throws", () => { throw new TypeError("first\\n\\n" + "line\\n".repeat(50)); });`,
    });
    assert.deepEqual([count.passed, count.failed], [1, 2]);
    const [compares = "", throws = ""] = told;
    assert.match(compares, /^✖ unit: .*one\.test\.cjs › around › compares\n {2}AssertionError: Expected values/);
    assert.match(compares, /\n {2}\+ {3}1\n {2}- {3}2(\n|$)/);
    assert.match(throws, /^✖ unit: .*two\.test\.cjs › throws\n {2}TypeError: first\n {2}line\n/);
    assert.match(throws, /\n {2}…/);
    assert.ok(told.every((text) => text.split("\n").length <= 11 && !/node:internal/.test(text)));
    const frames = ["at node (node:internal/a:1:2)", `at f (${root}/test/unit/a.ts:1:2)`, "at g (/elsewhere/b.ts:1:2)"];
    const failure = { file: join(root, "dist/test/unit/a.test.js"), path: ["fails"], message: "m", stack: frames };
    assert.equal(tools.inFull("unit", failure), "✖ unit: unit/a.test › fails\n  m\n    at f (test/unit/a.ts:1:2)");
  });

  it("tells what a file that died had to say, and what a hook did", async () => {
    using workshop = new Workshop();
    const { count, told } = await resultsOf(workshop, {
      dies: 'throw new Error("cannot be loaded");',
      hook: 'describe("with a hook", () => { before(() => { throw new Error("from the hook"); }); it("waits", () => {}); });',
    });
    assert.ok(count.failed >= 2);
    assert.match(told.join("\n"), /✖ unit: .*dies\.test\.cjs\n {2}test failed\n(.*\n)*.*Error: cannot be loaded/);
    assert.match(told.join("\n"), /hook\.test\.cjs › with a hook\n {2}Error: from the hook/);
  });

  it("counts what was left out, and a runner that ended without a word, as failed", async () => {
    using workshop = new Workshop();
    const { count, tools } = await resultsOf(workshop, {
      skips: 'it("later", { skip: true }, () => {}); it("now", () => {});',
    });
    assert.deepEqual([count.passed, count.failed], [1, 1]);
    assert.equal(tools.readResults(workshop.path("none"), 0).failed, 1);
    assert.equal(tools.readResults(workshop.path("none"), null).failed, 1);
  });
});
