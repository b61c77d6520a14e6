/* /proc/swaps, swapon(8): the swap space that is in use. */
import { readFileSync } from "node:fs";
import { unescapeOctal } from "./mountinfo";
import { PolledFile } from "./polledFile";

const PATH = "/proc/swaps";
const swaps = new PolledFile(PATH, readPaths);

/** The devices and files that are swap space now, by their paths. */
export function readSwaps(): string[] {
  try {
    // Of folders that are renamed the kernel says nothing: paths are read anew, and that there are none is known.
    return swaps.says().length > 0 ? readPaths() : [];
  } catch {
    // A kernel without swap space.
    return [];
  }
}

function readPaths(): string[] {
  const [, ...lines] = readFileSync(PATH, "utf8").split("\n");
  return lines.flatMap((line) => unescapeOctal(/^\S+/.exec(line)?.[0] ?? "") || []);
}
