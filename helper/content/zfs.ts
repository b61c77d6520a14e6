/*
 * Images that surely belong to no ZFS pool. libblkid reads the partition table of a whole disk anew for each of the four
 * labels that a pool could have there, which is two thirds of what it does with a GPT. Looking for what makes a label one
 * takes a fraction of it.
 */
import type { OpenFile } from "../linux/file";
import { readCached } from "../linux/readCached";

/** The smallest disk that libblkid looks for labels on. */
const SMALLEST = 64 * 1024 * 1024;
/** Two labels at the start, two at the end; the second half of each is its uberblocks. */
const LABEL = 256 * 1024;
const UBERBLOCKS = LABEL / 2;
const UBERBLOCK = 1024;
// UBERBLOCK_MAGIC of ZFS's uberblock_impl.h, 64 bits in the byte order of the machine that wrote it.
const MAGIC = 0x00bab10c;
const MAGIC_SWAPPED = 0x0cb1ba00;
const WORD = 4;

let uberblocks: Uint32Array | undefined;

/**
 * Whether a range of a file surely has no ZFS label. False where that can't be told, as what is in memory doesn't show it,
 * or isn't worth asking, as libblkid doesn't look for one there.
 */
export function isSurelyNoZfs(file: OpenFile, { offset, size }: { offset: number; size: number }): boolean {
  if (size < SMALLEST) {
    return false;
  }
  uberblocks ??= new Uint32Array(UBERBLOCKS / WORD);
  const bytes = new Uint8Array(uberblocks.buffer);
  const end = size - (size % LABEL);
  for (const label of [0, LABEL, end - 2 * LABEL, end - LABEL]) {
    if (!readCached(file.fd, bytes, offset + label + UBERBLOCKS) || hasUberblock(uberblocks)) {
      return false;
    }
  }
  return true;
}

function hasUberblock(words: Uint32Array): boolean {
  for (let at = 0; at < words.length; at += UBERBLOCK / WORD) {
    if (words[at] === MAGIC || words[at + 1] === MAGIC_SWAPPED) {
      return true;
    }
  }
  return false;
}
