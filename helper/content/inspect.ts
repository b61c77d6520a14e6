/* `image/inspect`: what is in an image that isn't attached. */
import type { OpenedImage } from "../caller";
import { sectorSize as deviceSectorSize } from "../linux/block";
import { Problem } from "../problem";
import type { Content, Partition } from "../protocol";
import { type GptFaults, gptFaults, likelyParts, primaryOf, startOfGpt } from "./gpt";
import { Contents } from "./parts";
import { probe, tableFaults, unknownContent } from "./probe";
import { sizeOf } from "./read";

export interface Inspected extends GptFaults {
  /** Bytes from the offset to the image's end: the size of the device that it would make. */
  size: number;
  content: Content;
  /** By number; `device` is empty, and nothing is mounted or held. */
  partitions: Partition[];
}

// DISK_MAX_PARTS in <linux/genhd.h> (until Linux 5.17, <linux/blkdev.h> since): no kernel knows more than these.
const MOST_PARTITIONS = 256;

/**
 * Tells what is in an image, with no device and no privilege needed.
 *
 * @param offset bytes of the image to leave out
 * @param sectorSize bytes; "probe" for that of the image's GPT
 * @throws Problem invalid where the offset is past the image's end, unsupported where libblkid is missing
 * @throws KernelError where the image can't be read
 * @throws Cancelled
 */
export async function inspectImage(
  { file, stat }: Pick<OpenedImage, "file" | "stat">,
  { offset, sectorSize }: { offset: number; sectorSize: number | "probe" },
  signal: AbortSignal,
): Promise<Inspected> {
  const whole = sizeOf(file, stat);
  if (offset > whole) {
    throw new Problem("invalid", `The offset ${offset} is past the end of ${file.path}, which has ${whole} bytes.`);
  }
  const size = whole - offset;
  const gpt = sectorSize === "probe" && !stat.isBlockDevice() ? startOfGpt(file, offset) : undefined;
  const sectors =
    sectorSize !== "probe" ? sectorSize : stat.isBlockDevice() ? deviceSectorSize(file) : (gpt?.sectorSize ?? 512);
  const disk = { offset, size, sectorSize: sectors };
  const looking = new Contents(file, signal);
  // Mostly libblkid finds the partitions that we do: by then some of them have been looked at.
  const meanwhile = async () => {
    const primary = await primaryOf(file, disk, gpt?.bytes);
    if (primary) {
      looking.begin(likelyParts(disk, primary, MOST_PARTITIONS));
    }
    return await gptFaults(file, disk, primary);
  };
  const { content, table } = await probe(file, disk, gpt && meanwhile).catch(async (error) => {
    await looking.drop();
    throw error;
  });
  const found = (table?.partitions ?? []).slice(0, MOST_PARTITIONS);
  const parts = found.map(({ start, size }) => ({ offset: offset + start, size, sectorSize: sectors }));
  const contents = await looking.of(parts);
  const partitions = found.map(({ number, start, size, type, uuid, name }, index) => ({
    device: "",
    number,
    start,
    size,
    type,
    uuid,
    name,
    content: contents[index] ?? unknownContent,
    mounts: [],
    holders: [],
  }));
  return { size, content, partitions, ...tableFaults(table) };
}
