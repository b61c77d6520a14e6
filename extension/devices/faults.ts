/* What is wrong with what is on a device, a partition or an image, in sentences. */
import type { Device, Result } from "../../helper/protocol";
import { formatSize } from "./format";

/** What can have faults; a partition has no table of its own that counts. */
export type Faulty = Pick<Device, "size" | "content"> & Pick<Result<"image/inspect">, "damaged" | "tableSize">;

export function faultsOf({ size, content, damaged, tableSize }: Faulty): string[] {
  const said: string[] = [];
  if (tableSize !== undefined) {
    const untold = damaged === "both" ? " Its partitions can't be told." : "";
    said.push(`${cutShort("its partition table is for", tableSize, size)}${untold}`);
  }
  // A backup that lies where nothing is any more is what was said just now.
  if (damaged && (damaged === "primary" || tableSize === undefined)) {
    said.push(damages[damaged]);
  }
  if (content.fullSize !== undefined) {
    said.push(cutShort(`its ${content.type} has`, content.fullSize, size));
  }
  return said;
}

/** The same in a few words; "" where nothing is wrong. */
export function faultInShort({ content, damaged, tableSize }: Faulty): string {
  const short = tableSize !== undefined || content.fullSize !== undefined;
  return short ? "cut short" : damaged ? "damaged GPT" : "";
}

function cutShort(claim: string, full: number, size: number): string {
  return `Cut short: ${claim} ${formatSize(full)}, of which the last ${formatSize(full - size)} are missing.`;
}

const damages = {
  primary:
    "The first copy of the partition table (GPT) is damaged. Its backup, at the end, is used. gdisk and parted can " +
    "write the first copy anew.",
  backup:
    "The backup of the partition table (GPT) is damaged or missing. The first copy is used. gdisk and parted can write " +
    "the backup anew.",
  both: "Both copies of the partition table (GPT) are damaged, so its partitions can't be told.",
};
