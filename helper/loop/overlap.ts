/* Whether an image is attached already, wholly or in part. */
import { devnum } from "../linux/devnum";
import { Problem } from "../problem";
import { type LoopState, loopDisks, readState } from "./state";

/** The part of an image that is wanted: which file, and from where to where in bytes. */
export interface Extent {
  inode: bigint;
  device: bigint;
  offset: number;
  sizeLimit: number;
  /** The end of the image, for parts that have no limit. */
  imageSize: number;
}

/**
 * The bound devices that show a part of the same image. The caller holds the lock on the control device, so that two
 * who look at once don't both find nothing.
 */
export async function findOverlapping(extent: Extent): Promise<LoopState[]> {
  const states = await Promise.all(loopDisks().map(readState));
  return states.filter((state): state is LoopState => state !== undefined && overlaps(state, extent));
}

function overlaps(state: LoopState, extent: Extent): boolean {
  if (BigInt(state.backingInode) !== extent.inode || state.backingDevnum !== devnum(extent.device)) {
    return false;
  }
  const end = (offset: number, limit: number) => (limit === 0 ? extent.imageSize : offset + limit);
  return state.offset < end(extent.offset, extent.sizeLimit) && extent.offset < end(state.offset, state.sizeLimit);
}

/** The device among them that is exactly what is wanted; the others would be in its way as well. */
export function findSame(
  overlapping: LoopState[],
  { offset, sizeLimit, readOnly }: { offset: number; sizeLimit: number; readOnly: boolean },
): LoopState | undefined {
  const [only, ...others] = overlapping;
  return others.length === 0 &&
    only?.offset === offset &&
    only.sizeLimit === sizeLimit &&
    only.readOnly === readOnly &&
    // One that goes away with its last user may be gone before the new one has opened it.
    !only.autoclear
    ? only
    : undefined;
}

export function overlapProblem(path: string, [first]: LoopState[]): Problem {
  const device = first?.device ?? "another device";
  return new Problem("overlap", `${path} is attached already as ${device}. Use that device, or detach it first.`, {
    device,
  });
}
