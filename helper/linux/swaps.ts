/* /proc/swaps, swapon(8): the swap space that is in use. */
import { readFileSync } from "node:fs";
import { unescapeOctal } from "./mountinfo";

/** The devices and files that are swap space now, by their paths. */
export function readSwaps(): string[] {
  let text: string;
  try {
    text = readFileSync("/proc/swaps", "utf8");
  } catch {
    // A kernel without swap space.
    return [];
  }
  const [, ...lines] = text.split("\n");
  return lines.flatMap((line) => unescapeOctal(/^\S+/.exec(line)?.[0] ?? "") || []);
}
