/* What is in the partitions of an image: several of them are looked at at once. */
import { KernelError } from "../linux/errno";
import { O_RDONLY, type OpenFile, openFile } from "../linux/file";
import { throwIfCancelled } from "../pause";
import type { Content } from "../protocol";
import { contentAt, type ProbeRange } from "./probe";

/** Hands of one request. Few tables name more partitions, and few disks are quicker with more that read at once. */
const MOST_HANDS = 4;
/** Helping hands of all requests: each keeps one of libuv's threads, which slow images could take away from all else. */
const MOST_HELPING = 6;
let helping = 0;

/**
 * The content of each part of an image, in their order.
 *
 * @throws Cancelled once the probes that had begun have ended
 */
export async function contentsAt(
  file: OpenFile,
  parts: readonly ProbeRange[],
  signal: AbortSignal,
): Promise<Content[]> {
  const contents: Content[] = [];
  const left = parts.entries();
  const work = async (place: OpenFile) => {
    for (const [index, part] of left) {
      throwIfCancelled(signal);
      contents[index] = await contentAt(place, part);
    }
  };
  // A device can take long to open.
  const most = parts.length > 1 && file.stat().isFile() ? Math.min(MOST_HANDS, parts.length) : 1;
  const hands = [work(file)];
  while (hands.length < most && helping < MOST_HELPING) {
    hands.push(help(file, work));
  }
  // All of them: who fails may not close the image under the others.
  for (const hand of await Promise.allSettled(hands)) {
    if (hand.status === "rejected") {
      throw hand.reason;
    }
  }
  return contents;
}

/**
 * Does some of the work by a descriptor of its own, as libblkid reads from where it has moved its descriptor to. Where
 * there is none to be had (a user's FUSE is closed to root), the others do it all.
 */
async function help(file: OpenFile, work: (place: OpenFile) => Promise<void>): Promise<void> {
  helping++;
  try {
    using place = openOnceMore(file);
    if (place) {
      await work(place);
    }
  } finally {
    helping--;
  }
}

function openOnceMore(file: OpenFile): OpenFile | undefined {
  try {
    return openFile(`/proc/self/fd/${file.fd}`, O_RDONLY);
  } catch (error) {
    if (error instanceof KernelError) {
      return undefined;
    }
    throw error;
  }
}
