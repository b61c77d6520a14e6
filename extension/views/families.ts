/* What contents and partition types are called, and which of them look alike in the disk map. */
import { l10n } from "vscode";
import type { Content } from "../../helper/protocol";
import type { Family } from "./messages";

const families: Record<string, Family> = {
  ext2: "ext",
  ext3: "ext",
  ext4: "ext",
  ext4dev: "ext",
  jbd: "ext",
  xfs: "xfs",
  btrfs: "btrfs",
  vfat: "fat",
  exfat: "fat",
  ntfs: "ntfs",
  ReFS: "ntfs",
  swap: "swap",
  swsuspend: "swap",
  squashfs: "packed",
  squashfs3: "packed",
  erofs: "packed",
  cramfs: "packed",
  romfs: "packed",
  iso9660: "packed",
  udf: "packed",
  BitLocker: "crypto",
};

export function familyOf({ kind, type }: Content): Family {
  const byKind = { empty: "empty", crypto: "crypto", raid: "volume", filesystem: "other", partitionTable: "other" };
  return families[type] ?? (kind === "other" ? "other" : (byKind[kind] as Family));
}

/** What is on a device, in a word or two: "ext4", "GPT", "Unknown". */
export function contentText({ kind, type }: Content): string {
  if (kind === "empty") {
    return l10n.t("Empty");
  }
  if (kind === "partitionTable") {
    return type === "dos" ? "MBR" : type.toUpperCase();
  }
  return type === "ambivalent" ? l10n.t("Several signatures") : type || l10n.t("Unknown");
}

/** Types of partitions as libblkid writes them: GUIDs of a GPT, numbers of an MBR. */
const purposes: Record<string, string> = {
  "c12a7328-f81f-11d2-ba4b-00a0c93ec93b": "EFI System",
  "21686148-6449-6e6f-744e-656564454649": "BIOS boot",
  "bc13c2ff-59e6-4262-a352-b275fd6f7172": "Extended boot",
  "0fc63daf-8483-4772-8e79-3d69d8477de4": "Linux filesystem",
  "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f": "Linux swap",
  "e6d6d379-f507-44c2-a23c-238f2a3df928": "Linux LVM",
  "a19d880f-05fc-4d3b-a006-743f0f84911e": "Linux RAID",
  "933ac7e1-2eb4-4f13-b844-0e14e2aef915": "Linux home",
  "4f68bce3-e8cd-4db1-96e7-fbcaf984b709": "Linux root (x86-64)",
  "b921b045-1df0-41c3-af44-4c6f280d3fae": "Linux root (ARM-64)",
  "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7": "Microsoft basic data",
  "e3c9e316-0b5c-4db8-817d-f92df00215ae": "Microsoft reserved",
  "de94bba4-06d1-4d40-a16a-bfd50179d6ac": "Windows recovery",
  "0x5": "Extended",
  "0x6": "FAT16",
  "0x7": "NTFS or exFAT",
  "0xb": "FAT32",
  "0xc": "FAT32 (LBA)",
  "0xe": "FAT16 (LBA)",
  "0xf": "Extended (LBA)",
  "0x17": "Hidden NTFS or hidden ISO 9660",
  "0x82": "Linux swap",
  "0x83": "Linux",
  "0x85": "Linux extended",
  "0x8e": "Linux LVM",
  "0xa5": "FreeBSD",
  "0xcd": "ISO 9660",
  "0xee": "GPT protective",
  "0xef": "EFI System",
  "0xfd": "Linux RAID",
};

/** What a partition is for, by its type; the type itself where that is nothing known. */
export function purposeOf(type: string): string {
  return purposes[type.toLowerCase()] ?? type;
}

/** Whether logical partitions are in it. Only an MBR has such. */
export function isExtended(type: string): boolean {
  return ["0x5", "0xf", "0x85"].includes(type);
}

/** The MBR's types are numbers, those of a GPT are GUIDs. */
export function isOfMbr(type: string): boolean {
  return type.startsWith("0x");
}
