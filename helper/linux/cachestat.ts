/* What the kernel has in memory of a file: cachestat(2), <linux/mman.h>. */
import { bare } from "./libc";

/** The same number on every architecture, since Linux 6.5. */
const CACHESTAT = 451;
/** `struct cachestat_range`: off, len; none is all of the file. */
const WHOLE = Buffer.alloc(16);
/** `struct cachestat`: nr_cache, nr_dirty, nr_writeback, nr_evicted, nr_recently_evicted; pages, 64 bits each. */
const found = new Uint32Array(10);

/**
 * Whether the kernel surely has no page of a file or block device in memory. Not sure before Linux 6.5, nor where the
 * file is neither ours nor open for writing.
 */
export function isUncached(file: number): boolean {
  return bare.cachestat(CACHESTAT, file, WHOLE, found, 0) === 0 && found[0] === 0 && found[1] === 0;
}
