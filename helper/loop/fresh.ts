/* What is to be said of a device that was bound a moment ago, and that we have had open and locked ever since. */
import type { BigIntStats } from "node:fs";
import type { Caller } from "../caller";
import { type Probed, tableFaults } from "../content/probe";
import type { OpenFile } from "../linux/file";
import { partitionsOf } from "../linux/sysfs";
import type { LoopDevice } from "../protocol";
import { imageShown, stateOf } from "./state";

/**
 * Describes it as `describeLoop` would, without looking around: nothing has been made of it yet.
 *
 * @param image what stat(2) says of the image that we have bound
 * @param owner whose it is noted to be
 * @returns undefined where it isn't that simple: the kernel has found partitions, or the image was taken off again
 */
export function describeFresh(
  disk: string,
  loop: OpenFile,
  image: BigIntStats,
  { content, table }: Probed,
  owner: Caller | undefined,
): LoopDevice | undefined {
  const shown = imageShown(disk);
  const state = shown && stateOf(disk, loop, shown, image.nlink > 0n ? image : undefined);
  // Where there is nothing the kernel has found nothing either.
  if (!state || (content.kind !== "empty" && partitionsOf(disk).length > 0)) {
    return undefined;
  }
  return {
    ...state,
    ...(owner && { setUpBy: { uid: owner.uid, name: owner.name } }),
    content,
    ...tableFaults(table),
    partitions: [],
    mounts: [],
    holders: [],
  };
}
