/* Run in VS Code's extension host by extension.ts: writes the milliseconds that the activation took to a file. */
import { writeFileSync } from "node:fs";
import { extension } from "../vscode/suite/extension";

export async function run(): Promise<void> {
  const begun = performance.now();
  await extension().activate();
  const time = performance.now() - begun;
  const file = process.env.DISKLOOM_BENCH_RESULT;
  if (file !== undefined) {
    writeFileSync(file, String(time));
  }
}
