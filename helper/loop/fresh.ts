/* What is to be said of a device that was bound a moment ago, and that we have had open and locked ever since. */
import type { BigIntStats } from "node:fs";
import type { Caller } from "../caller";
import { type Probed, tableFaults } from "../content/probe";
import type { OpenFile } from "../linux/file";
import { partitionsOf } from "../linux/sysfs";
import { ownerOf } from "../owners";
import type { LoopDevice } from "../protocol";
import { imageShown, stateOf } from "./state";

/**
 * Describes it as `describeLoop` would, without looking around: nothing has been made of it yet.
 *
 * @param image what stat(2) says of the image that we have bound
 * @returns undefined where it isn't that simple: the kernel has found partitions, or the image was taken off again
 */
export function describeFresh(
  disk: string,
  loop: OpenFile,
  image: BigIntStats,
  { content, table }: Probed,
  caller: Caller,
): LoopDevice | undefined {
  const shown = imageShown(disk);
  const state = shown && stateOf(disk, loop, shown, image.nlink > 0n ? image : undefined);
  if (!state || partitionsOf(disk).length > 0) {
    return undefined;
  }
  const { uid, name } = caller;
  return {
    ...state,
    ...(ownerOf(state) === uid && { setUpBy: { uid, name } }),
    content,
    ...tableFaults(table),
    partitions: [],
    mounts: [],
    holders: [],
  };
}
