/* Any target that we know nothing of: its words, and which of them are likely to be devices. */
import { resolve } from "node:path";
import { numberOfNode } from "../../linux/node";
import { devnumOf } from "../../linux/sysfs";
import type { TargetKind } from "./target";

export interface Raw {
  words: string[];
}

export function raw(type: string): TargetKind<Raw> {
  return {
    type,
    parse: (words) => ({ words: words.rest() }),
    format: ({ words }) => words,
    extents: () => [],
    withDevices: ({ words }, replace) => ({ words: words.map((word) => replaceDevice(word, replace)) }),
  };
}

// A path or number that isn't a device's is an argument like any other, of which the kernel knows more than we. Paths
// that begin anywhere count, as the kernel looks for them from our working directory.
function replaceDevice(word: string, replace: (device: string) => string): string {
  if (/^\d+:\d+$/.test(word)) {
    return devnumOf(`/sys/dev/block/${word}`) === undefined ? word : replace(word);
  }
  return numberOfNode(word) === undefined ? word : replace(resolve(word));
}
