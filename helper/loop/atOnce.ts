/*
 * Whether LOOP_CONFIGURE can be all there is to an attach. It can where it leaves nothing to be done that a killed helper
 * would leave undone: no partition is to be made known, and this kernel has given all of such a wish before.
 */
import { isHolePatiently } from "../content/hole";
import { noContent, type Probed, probe } from "../content/probe";
import { KernelError } from "../linux/errno";
import { O_RDONLY, openFile } from "../linux/file";
import { LO_FLAGS_PARTSCAN } from "../linux/loop";
import { Problem } from "../problem";
import { isProven, type Setup } from "./configure";

const SECTOR = 512;

/**
 * What the device is going to show, where binding it is all there is to do; `undefined` where it isn't, or can't be told.
 *
 * @param size the image's, in bytes
 */
export async function contentAtOnce(setup: Setup, size: number): Promise<Probed | undefined> {
  const { file, blockSize, settings } = setup;
  // A block device can take long to open.
  if (!file.identity().isFile() || !isProven(setup)) {
    return undefined;
  }
  if (setup.blank) {
    return { content: noContent, table: undefined };
  }
  const offset = Number(settings.offset);
  const end = settings.sizeLimit === 0n ? size : offset + Number(settings.sizeLimit);
  try {
    // By a descriptor of its own: libblkid moves its place and turns reading ahead off, and the loop driver reads by ours.
    using image = openFile(`/proc/self/fd/${file.fd}`, O_RDONLY);
    const shown = Math.floor((end - offset) / SECTOR) * SECTOR;
    // As most new images are, and looking for what could be in one takes longer than all the rest.
    if (await isHolePatiently(image, offset, shown)) {
      return { content: noContent, table: undefined };
    }
    const probed = await probe(image, { offset, size: shown, sectorSize: blockSize });
    return (settings.flags & LO_FLAGS_PARTSCAN) !== 0 && probed.table ? undefined : probed;
  } catch (error) {
    if (error instanceof KernelError || error instanceof Problem) {
      return undefined;
    }
    throw error;
  }
}
