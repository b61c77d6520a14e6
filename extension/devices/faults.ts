/* What is wrong with what is on a device, a partition or an image, in sentences. */
import { l10n } from "vscode";
import type { Device, Result } from "../../helper/protocol";
import { formatSize } from "./format";

/** What can have faults; a partition has no table of its own that counts. */
export type Faulty = Pick<Device, "size" | "content"> & Pick<Result<"image/inspect">, "damaged" | "tableSize">;

export function faultsOf({ size, content, damaged, tableSize }: Faulty): string[] {
  const said: string[] = [];
  if (tableSize !== undefined) {
    const [full, missing] = [formatSize(tableSize), formatSize(tableSize - size)];
    const short = l10n.t(
      "Cut short: its partition table is for {0}, of which the last {1} are missing.",
      full,
      missing,
    );
    said.push(damaged === "both" ? `${short} ${l10n.t("Its partitions can't be told.")}` : short);
  }
  // A backup that lies where nothing is any more is what was said just now.
  if (damaged && (damaged === "primary" || tableSize === undefined)) {
    said.push(damages[damaged]);
  }
  if (content.fullSize !== undefined) {
    const [full, missing] = [formatSize(content.fullSize), formatSize(content.fullSize - size)];
    said.push(l10n.t("Cut short: its {0} has {1}, of which the last {2} are missing.", content.type, full, missing));
  }
  return said;
}

/** The same in a few words; "" where nothing is wrong. */
export function faultInShort({ content, damaged, tableSize }: Faulty): string {
  const short = tableSize !== undefined || content.fullSize !== undefined;
  return short ? l10n.t("cut short") : damaged ? l10n.t("damaged GPT") : "";
}

const damages = {
  primary: l10n.t(
    "The first copy of the partition table (GPT) is damaged. Its backup, at the end, is used. gdisk and parted can write the first copy anew.",
  ),
  backup: l10n.t(
    "The backup of the partition table (GPT) is damaged or missing. The first copy is used. gdisk and parted can write the backup anew.",
  ),
  both: l10n.t("Both copies of the partition table (GPT) are damaged, so its partitions can't be told."),
};
