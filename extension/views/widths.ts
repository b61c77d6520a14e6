/* How wide the parts of a bar are: in proportion, yet none too narrow to be seen and pressed. */

/** One part of a bar: its share, and how wide it has to be at least in per cent of the bar. */
export interface Part {
  size: number;
  least: number;
}

/**
 * The widths of a bar's parts in per cent of it, in their order and 100 in sum. Those whose share is less than their
 * least width get that; the others share what is left in proportion. Where not even the least widths fit, they are all
 * cut by the same factor.
 */
export function widths(parts: readonly Part[]): number[] {
  const wanted = parts.reduce((sum, { least }) => sum + least, 0);
  if (wanted >= 100) {
    return parts.map(({ least }) => (least / wanted) * 100);
  }
  const widened = new Set<Part>();
  for (;;) {
    const flexible = parts.filter((part) => !widened.has(part));
    const total = flexible.reduce((sum, { size }) => sum + size, 0);
    const left = 100 - [...widened].reduce((sum, { least }) => sum + least, 0);
    // Without any size there is no proportion: then all are equal.
    const share = ({ size }: Part) => (total > 0 ? (size / total) * left : left / flexible.length);
    const narrow = flexible.filter((part) => share(part) < part.least);
    if (narrow.length === 0) {
      return parts.map((part) => (widened.has(part) ? part.least : share(part)));
    }
    // Each one that is widened takes from the others, so that more may be too narrow next.
    for (const part of narrow) {
      widened.add(part);
    }
  }
}
