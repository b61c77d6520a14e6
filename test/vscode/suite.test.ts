/*
 * The suite in VS Code's own extension host: in the desktop VS Code that VSCODE_EXECUTABLE names, else in the stand-in.
 */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { runTests } from "@vscode/test-electron";
import { root } from "../helper";
import { Workshop } from "../images";
import type { SuiteResult } from "./result";

test("in the extension host", async (t) => {
  using place = new Workshop();
  const file = place.path("result.json");
  mkdirSync(place.path("folder"));
  let failure: unknown;
  try {
    await runTests({
      vscodeExecutablePath: process.env.VSCODE_EXECUTABLE ?? join(root, "test/vscode/host/code.mjs"),
      extensionDevelopmentPath: root,
      extensionTestsPath: join(root, "dist/test/vscode/suite/index.js"),
      extensionTestsEnv: { DISKLOOM_SUITE_RESULT: file },
      launchArgs: [
        place.path("folder"),
        `--user-data-dir=${place.path("user-data")}`,
        `--extensions-dir=${place.path("extensions")}`,
      ],
    });
  } catch (error) {
    failure = error;
  }
  assert.ok(existsSync(file), `The suite did not get to its end: ${failure ?? "VS Code reported no failure"}`);
  const { tests }: SuiteResult = JSON.parse(readFileSync(file, "utf8"));
  assert.ok(tests.length > 0, "The suite had no test.");
  for (const { title, failure } of tests) {
    await t.test(title, () => {
      if (failure !== undefined) {
        assert.fail(failure);
      }
    });
  }
  if (failure) {
    throw failure;
  }
});
