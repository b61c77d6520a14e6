/* Those that we are measured against: programs that are installed, and ours in C. */
import { execFile, execFileSync } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { root } from "../helper";

const execute = promisify(execFile);

/** Runs a program as a client of it would. @returns what it printed */
export async function spawned(program: string, ...args: string[]): Promise<string> {
  return (await execute(program, args, { maxBuffer: 64 << 20 })).stdout;
}

/** Compiles test/bench/NAME.c into a folder. @returns the program */
export function compile(name: string, folder: string): string {
  const program = join(folder, name);
  execFileSync("cc", ["-O2", "-pthread", "-o", program, join(root, "test/bench", `${name}.c`)]);
  return program;
}

/** The times that our programs in C print, a line of nanoseconds each. */
export function millisecondsIn(printed: string): number[] {
  return printed
    .trim()
    .split("\n")
    .map((nanoseconds) => Number(nanoseconds) / 1e6);
}
