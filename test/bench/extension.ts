/* The extension as people get it: how large it is, and how long its activation takes in a real VS Code. */
import { mkdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { runTests } from "@vscode/test-electron";
import { root } from "../helper";
import { Workshop } from "../images";
import { summarise } from "./measure";
import type { Row, Unmeasured } from "./table";

const WINDOWS = 3;
const KB = 1000;

/** Taken from the files that `npm run bench` has built just before. */
export function sizes(): Row[] {
  const size = (what: string, file: string, limit: number): Row => {
    const kilobytes = statSync(join(root, file)).size / KB;
    const ours = { median: kilobytes, p99: kilobytes };
    return { what: `size of ${what}`, ours, unit: "KB", against: "", aim: { below: limit } };
  };
  return [
    size("dist/extension.js", "dist/extension.js", 500),
    size("the .vsix", `diskloom-linux-${process.arch}.vsix`, 3000),
  ];
}

/** Each time in a window of its own, as an extension is activated once in one. */
export async function activation(): Promise<Row | Unmeasured> {
  const what = "activation of the extension, with its code loaded";
  try {
    const times: number[] = [];
    for (let n = 0; n < WINDOWS; n++) {
      times.push(await activate());
    }
    return { what, ours: summarise(times), against: "", aim: { below: 60 } };
  } catch (error) {
    return { what, unmeasured: error instanceof Error ? error.message : String(error) };
  }
}

async function activate(): Promise<number> {
  using place = new Workshop();
  const file = place.path("activation.json");
  mkdirSync(place.path("folder"));
  await runTests({
    vscodeExecutablePath: process.env.VSCODE_EXECUTABLE ?? join(root, "test/vscode/host/code.mjs"),
    extensionDevelopmentPath: root,
    extensionTestsPath: join(root, "dist/test/bench/inVsCode.js"),
    extensionTestsEnv: { DISKLOOM_BENCH_RESULT: file },
    launchArgs: [
      place.path("folder"),
      `--user-data-dir=${place.path("user-data")}`,
      `--extensions-dir=${place.path("extensions")}`,
    ],
  });
  const { load, call, finish }: Record<string, number> = JSON.parse(readFileSync(file, "utf8"));
  return (load ?? Number.NaN) + (call ?? Number.NaN) + (finish ?? Number.NaN);
}
