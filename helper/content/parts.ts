/* What is in the partitions of an image: several of them are looked at at once. */
import { KernelError } from "../linux/errno";
import { O_RDONLY, type OpenFile, openFile } from "../linux/file";
import { throwIfCancelled } from "../pause";
import type { Content } from "../protocol";
import { contentAt, type ProbeRange, unknownContent } from "./probe";

/** Hands of one request. Few tables name more partitions, and few disks are quicker with more that read at once. */
const MOST_HANDS = 4;
/** Helping hands of all requests: each keeps one of libuv's threads, which slow images could take away from all else. */
const MOST_HELPING = 6;
let helping = 0;

/** The contents of the parts of an image; each part is looked at once. */
export class Contents {
  #left: ProbeRange[] = [];
  readonly #begun = new Set<string>();
  readonly #found = new Map<string, Content>();
  readonly #hands: Promise<void>[] = [];

  constructor(
    readonly file: OpenFile,
    readonly signal: AbortSignal,
  ) {}

  /**
   * Begins with those that are likely to be asked for, by helping hands alone: the image's own descriptor may be in use.
   * To be followed by `of` or `drop`.
   */
  begin(likely: readonly ProbeRange[]): void {
    this.#left = [...likely];
    this.#callHelp(MOST_HANDS - 1);
  }

  /**
   * The content of each part, in their order. Of those that were begun with, what isn't asked for is left.
   *
   * @throws Cancelled once the probes that had begun have ended
   */
  async of(parts: readonly ProbeRange[]): Promise<Content[]> {
    this.#left = parts.filter((part) => !this.#begun.has(nameOf(part)));
    if (this.#left.length > 0) {
      // A device can take long to open.
      const alone = this.#left.length === 1 || !this.file.stat().isFile();
      this.#join(this.#work(this.file));
      if (!alone) {
        this.#callHelp(MOST_HANDS);
      }
    }
    // All of them: who fails may not close the image under the others.
    for (const hand of await Promise.allSettled(this.#hands)) {
      if (hand.status === "rejected") {
        throw hand.reason;
      }
    }
    return parts.map((part) => this.#found.get(nameOf(part)) ?? unknownContent);
  }

  /** Leaves what was begun with, once the probes that had begun have ended. */
  async drop(): Promise<void> {
    this.#left = [];
    await Promise.allSettled(this.#hands);
  }

  #join(hand: Promise<void>): void {
    // Whether one has failed is asked at the end.
    hand.catch(() => {});
    this.#hands.push(hand);
  }

  #callHelp(most: number): void {
    while (this.#left.length > 0 && this.#hands.length < most && helping < MOST_HELPING) {
      this.#join(this.#help());
    }
  }

  /**
   * Does some of the work by a descriptor of its own, as libblkid reads from where it has moved its descriptor to. Where
   * there is none to be had (a user's FUSE is closed to root), the others do it all.
   */
  async #help(): Promise<void> {
    helping++;
    try {
      using place = openOnceMore(this.file);
      if (place) {
        await this.#work(place);
      }
    } finally {
      helping--;
    }
  }

  async #work(place: OpenFile): Promise<void> {
    for (let part = this.#left.shift(); part; part = this.#left.shift()) {
      throwIfCancelled(this.signal);
      this.#begun.add(nameOf(part));
      this.#found.set(nameOf(part), await contentAt(place, part));
    }
  }
}

function nameOf({ offset, size }: ProbeRange): string {
  return `${offset}+${size}`;
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
