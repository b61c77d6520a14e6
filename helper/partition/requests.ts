/* `partition/rescan` and `partition/resize`: partitions of loop devices, for the caller. */
import type { Caller } from "../caller";
import { diskOf, numberOf, openOwned } from "../loop/device";
import { Problem } from "../problem";
import type { CheckedParams, LoopDevice, Partition } from "../protocol";
import { rescanPartitions } from "./rescan";
import { resizePartition } from "./resize";

type Describe = (disk: string) => Promise<LoopDevice>;

export async function rescanOf(
  wish: CheckedParams<"partition/rescan">,
  caller: Caller,
  describe: Describe,
): Promise<Partition[]> {
  const disk = diskOf(numberOf(wish.device));
  const { loop } = await openOwned(wish, caller);
  try {
    await rescanPartitions(loop, disk);
    return (await describe(disk)).partitions;
  } finally {
    await loop[Symbol.asyncDispose]();
  }
}

/** Without a start or size that differs, nothing is changed. */
export async function resizeOf(
  wish: CheckedParams<"partition/resize">,
  caller: Caller,
  describe: Describe,
): Promise<Partition> {
  const device = wish.device.replace(/p\d+$/, "");
  const disk = diskOf(numberOf(device));
  const { loop } = await openOwned({ ...wish, device }, caller);
  try {
    await resizePartition(loop, wish.device.slice("/dev/".length), wish);
    const partition = (await describe(disk)).partitions.find((candidate) => candidate.device === wish.device);
    if (!partition) {
      throw new Problem("notFound", `${device} has no partition ${wish.device} any more.`, { device: wish.device });
    }
    return partition;
  } finally {
    await loop[Symbol.asyncDispose]();
  }
}
