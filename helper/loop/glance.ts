/*
 * A glance at a device that was described before: whether all that was said of it still holds. The kernel is asked for
 * everything again, and the image is looked into again. What is spared is to put it into words, and to ask /sys for the
 * image's path, which takes longer than all the rest. For a thread that may wait.
 */
import { isDeepStrictEqual } from "node:util";
import { isHole } from "../content/hole";
import { type ProbeRange, probe, tableFaults } from "../content/probe";
import { BLOCK_FACTS_SIZE, decodeBlockFacts, readBlockFacts } from "../linux/block";
import { isUncached } from "../linux/cachestat";
import { type Devnum, devnum } from "../linux/devnum";
import { KernelError } from "../linux/errno";
import { O_RDONLY, type OpenFile, openFile, openWithoutLinks } from "../linux/file";
import {
  decodeLoopInfo,
  LO_FLAGS_AUTOCLEAR,
  LO_FLAGS_DIRECT_IO,
  LO_FLAGS_PARTSCAN,
  LOOP_INFO_SIZE,
  readStatus,
} from "../linux/loop";
import { decodeIdentity, IDENTITY_SIZE, readIdentity } from "../linux/statx";
import { diskFolder } from "../linux/sysfs";
import type { Attachment } from "../owners";
import { Problem } from "../problem";
import type { Content, LoopDevice } from "../protocol";

/** What is kept of a device that was described. */
export interface Described {
  /** The description, in UTF-8. */
  json: Buffer;
  /** What the kernel said of it then. */
  facts: Buffer;
  attachment: Attachment;
  devnum: Devnum;
  /** Its folder in /sys. */
  folder: string;
  setUpBy: LoopDevice["setUpBy"];
  image: string;
  range: Required<ProbeRange>;
  content: Content;
}

// What a glance takes down, each time at the same place.
const scratch = Buffer.alloc(LOOP_INFO_SIZE + BLOCK_FACTS_SIZE + IDENTITY_SIZE);
const status = scratch.subarray(0, LOOP_INFO_SIZE);
const block = scratch.subarray(LOOP_INFO_SIZE, LOOP_INFO_SIZE + BLOCK_FACTS_SIZE);
const identity = scratch.subarray(LOOP_INFO_SIZE + BLOCK_FACTS_SIZE);

/** What glances at a device need; `undefined` for one of which more is to be told than they can see. */
export function describedNow(device: LoopDevice): Described | undefined {
  const lists = [device.partitions, device.mounts, device.holders];
  if (lists.some(({ length }) => length > 0) || device.damaged || device.tableSize !== undefined) {
    return undefined;
  }
  try {
    using loop = openFile(device.device, O_RDONLY);
    using image = openImage(loop, device.backingFile);
    return image && agrees(device) ? described(device) : undefined;
  } catch (error) {
    return notNow(error);
  }
}

function described(whole: LoopDevice): Described {
  const { device, number, devnum, diskSequence, backingFile, backingInode, backingDevnum } = whole;
  const { offset, size, sectorSize, content, setUpBy } = whole;
  return {
    json: Buffer.from(JSON.stringify(whole)),
    facts: Buffer.from(scratch),
    attachment: { device, diskSequence, backingInode, backingDevnum },
    devnum: devnum as Devnum,
    folder: diskFolder(`loop${number}`),
    setUpBy,
    image: backingFile,
    range: { offset, size, sectorSize },
    content,
  };
}

/** Whether the device that the facts are of is the one that was described. */
function agrees(device: LoopDevice): boolean {
  const info = decodeLoopInfo(status);
  const file = decodeIdentity(identity);
  const { offset, sizeLimit, diskSequence, size, sectorSize, readOnly, reference } = device;
  return (
    info.number === device.number &&
    info.inode === file.inode &&
    Number(info.inode) === device.backingInode &&
    devnum(info.device) === file.devnum &&
    file.devnum === device.backingDevnum &&
    !device.backingFileDeleted &&
    ((info.flags & LO_FLAGS_AUTOCLEAR) !== 0) === device.autoclear &&
    ((info.flags & LO_FLAGS_PARTSCAN) !== 0) === device.partitionScan &&
    ((info.flags & LO_FLAGS_DIRECT_IO) !== 0) === device.directIo &&
    Number(info.offset) === offset &&
    Number(info.sizeLimit) === sizeLimit &&
    info.reference === reference &&
    isDeepStrictEqual(decodeBlockFacts(block), { diskSequence, size, sectorSize, readOnly })
  );
}

/** Whether a device is still just as described; partitions, mounts and what stands on it left aside. */
export async function isAsDescribed({ attachment, facts, image, range, content }: Described): Promise<boolean> {
  try {
    using loop = openFile(attachment.device, O_RDONLY);
    using file = openImage(loop, image);
    if (!file || !scratch.equals(facts)) {
      return false;
    }
    const { offset, size } = range;
    const present = Math.min(size, decodeIdentity(identity).size - offset);
    if (present > 0 && isHole(file, offset, present)) {
      return content.kind === "empty";
    }
    const found = await probe(file, range);
    return isDeepStrictEqual(found.content, content) && Object.keys(tableFaults(found.table)).length === 0;
  } catch (error) {
    return notNow(error) ?? false;
  }
}

function notNow(error: unknown): undefined {
  // What is wrong is found out where it is described anew.
  if (!(error instanceof KernelError || error instanceof Problem)) {
    throw error;
  }
}

/**
 * Takes down the facts, and opens the image to be read instead of the device; `undefined` where that would not be the
 * same, as the kernel has something of the device in memory.
 */
function openImage(loop: OpenFile, path: string): OpenFile | undefined {
  readStatus(loop, status);
  readBlockFacts(loop, block);
  if (!isUncached(loop)) {
    return undefined;
  }
  const image = openWithoutLinks(path, O_RDONLY);
  let isRegular = false;
  try {
    isRegular = readIdentity(image, identity);
    return isRegular ? image : undefined;
  } finally {
    if (!isRegular) {
      image[Symbol.dispose]();
    }
  }
}
