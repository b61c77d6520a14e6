/*
 * The tests that run in VS Code's own extension host. How they went is written to a file: VS Code reports a dead
 * extension host as success, so nobody who finds no file may believe it.
 */
import { writeFileSync } from "node:fs";
import Mocha from "mocha";
import type { SuiteResult } from "../result";
import { takeTerminals } from "./terminals";
import { takeWindow } from "./window";

export async function run(): Promise<void> {
  const mocha = new Mocha({ ui: "bdd", color: false, timeout: 120_000, reporter: "spec", forbidOnly: true });
  // What a test file finds as `describe` and `it`.
  mocha.suite.emit("pre-require", globalThis, "", mocha);
  takeWindow();
  takeTerminals();
  await import("./activation");
  await import("./tree");
  await import("./deeds");
  await import("./bad-input");
  await import("./stale");
  await import("./cycles");
  await import("./helper-death");
  await import("./api");
  await import("./tasks");
  await import("./unsupported");

  const result: SuiteResult = { tests: [] };
  const failures = await new Promise<number>((resolve) => {
    mocha
      .run(resolve)
      .on("pass", (test) => result.tests.push({ title: test.fullTitle() }))
      .on("pending", (test) => result.tests.push({ title: test.fullTitle(), failure: "It was skipped." }))
      .on("fail", (test, error: Error) => {
        result.tests.push({ title: test.fullTitle(), failure: error.stack ?? String(error) });
      });
  });
  const file = process.env.DISKLOOM_SUITE_RESULT;
  if (file !== undefined) {
    writeFileSync(file, JSON.stringify(result));
  }
  if (failures > 0) {
    throw new Error(`${failures} tests failed.`);
  }
}
