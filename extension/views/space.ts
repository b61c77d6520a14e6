/* The space that partitions leave: where it is, and how much of it is worth a place in the picture. */

const MIB = 1 << 20;
/** A GPT has 34 sectors at the start and 33 at the end; partitions begin on the next MiB by custom. */
const TABLE = 34 * 512;

export interface Extent {
  start: number;
  size: number;
}

/** Where free space counts: between two partitions more than where partition tables have theirs. */
export interface Span extends Extent {
  /** All the disk, to which space is little or much. */
  disk: number;
  /** Each partition has a table of its own before it, as logical ones have. */
  tables: boolean;
}

/** The space that no partition has, in order. Partitions may overlap and reach out of the span. */
export function freeSpace(partitions: readonly Extent[], { start, size, disk, tables }: Span): Extent[] {
  const end = start + size;
  const found: Extent[] = [];
  let free = start;
  const add = (until: number) => {
    const atEdge = tables || free === start || until === end;
    if (until > free && isWorthwhile(until - free, disk, atEdge)) {
      found.push({ start: free, size: until - free });
    }
  };
  for (const partition of [...partitions].sort((a, b) => a.start - b.start)) {
    add(Math.min(partition.start, end));
    free = Math.max(free, partition.start + partition.size);
  }
  add(end);
  return found;
}

function isWorthwhile(size: number, disk: number, atEdge: boolean): boolean {
  // Up to a MiB is kept by custom, unless that is much of a small disk.
  return atEdge ? size - TABLE >= MIB || size - TABLE >= disk / 10 : size >= MIB || size >= disk / 100;
}
