/* Run in VS Code's extension host by extension.ts: writes to a file what VS Code says that the activation took. */
import { writeFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import * as vscode from "vscode";
import { extension } from "../vscode/suite/extension";
import { until } from "../vscode/until";

/** By then a window has opened. Nobody can open the view before, and all else is started meanwhile; milliseconds. */
const OPENED = 3000;

export async function run(): Promise<void> {
  const { id } = extension();
  await pause(OPENED);
  await extension().activate();
  // "Developer: Startup Performance", a text with a table: it has a line for each extension that is active.
  await vscode.commands.executeCommand("perfview.show");
  const line = await until("VS Code's word of the activation", () =>
    vscode.workspace.textDocuments
      .find(({ uri }) => uri.scheme === "perf")
      ?.getText()
      .split("\n")
      .map((text) => text.split("|").map((cell) => cell.trim()))
      .find((cells) => cells.includes(id)),
  );
  // Extension, Eager, Load Code, Call Activate, Finish Activate, Event, By: milliseconds.
  const [load, call, finish] = line.slice(line.indexOf(id) + 2).map(Number);
  const file = process.env.DISKLOOM_BENCH_RESULT;
  if (file !== undefined) {
    writeFileSync(file, JSON.stringify({ load, call, finish }));
  }
}
