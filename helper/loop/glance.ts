/*
 * A glance at a device that was described before: whether all that was said of it still holds. The kernel is asked for
 * everything again. What is spared is to put it into words, and to ask /sys for the image's path, which takes longer
 * than all the rest. For a thread that may wait.
 */
import { isDeepStrictEqual } from "node:util";
import { isHole } from "../content/hole";
import { type ProbeRange, probe, tableFaults } from "../content/probe";
import { type Devnum, devnum } from "../linux/devnum";
import { KernelError } from "../linux/errno";
import { O_PATH, O_RDONLY, type OpenFile, openFile, openWithoutLinks } from "../linux/file";
import {
  DEVICE_FACTS_SIZE,
  decodeBlockFacts,
  lookAtDevice,
  lookAtDeviceIn,
  lookAtImage,
  lookAtImageIn,
  facts as seen,
} from "../linux/look";
import { decodeLoopInfo, LO_FLAGS_AUTOCLEAR, LO_FLAGS_DIRECT_IO, LO_FLAGS_PARTSCAN } from "../linux/loop";
import { decodeFileFacts } from "../linux/statx";
import type { Attachment } from "../owners";
import { Problem } from "../problem";
import type { Content, LoopDevice } from "../protocol";

/** What is kept of a device that was described. */
export interface Described {
  /** The description, in UTF-8. */
  json: Buffer;
  /** Its name in /dev. */
  disk: string;
  /** What the kernel said of it and of its image when it was looked at last. */
  facts: Buffer;
  /** Whether its image is on a local file system and was a single hole then. */
  isBlank: boolean;
  attachment: Attachment;
  devnum: Devnum;
  setUpBy: LoopDevice["setUpBy"];
  image: { folder: string; name: string };
  range: Required<ProbeRange>;
  content: Content;
}

/** Glances at one device after the other. */
export class Glances implements Disposable {
  readonly #nodes = openFile("/dev", O_PATH);
  #folder: OpenFile | undefined;

  /**
   * Whether a device whose image was blank is still just as described; partitions, mounts and what stands on it left
   * aside. That there is nothing in the image is told by the blocks that it takes and by what is in memory of it: see
   * `isAllHole`. Its times would not do: they are set some time before what is written is there.
   */
  isUntouched({ disk, isBlank, image, facts }: Described): boolean {
    const folder = isBlank ? this.#enter(image.folder) : undefined;
    return (
      folder !== undefined &&
      lookAtDeviceIn(this.#nodes, disk) &&
      lookAtImageIn(folder, image.name) &&
      facts.equals(seen)
    );
  }

  // Most images stand in the same few folders. One at a time, so that there are never too many open.
  #enter(folder: string): OpenFile | undefined {
    if (this.#folder?.path !== folder) {
      this.#folder?.[Symbol.dispose]();
      this.#folder = undefined;
      try {
        this.#folder = openWithoutLinks(folder, O_PATH);
      } catch (error) {
        return notNow(error);
      }
    }
    return this.#folder;
  }

  [Symbol.dispose](): void {
    this.#nodes[Symbol.dispose]();
    this.#folder?.[Symbol.dispose]();
  }
}

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
  const { device, devnum, diskSequence, backingFile, backingInode, backingDevnum } = whole;
  const { offset, size, sectorSize, content, setUpBy } = whole;
  const end = backingFile.lastIndexOf("/");
  return {
    json: kept(Buffer.from(JSON.stringify(whole))),
    disk: device.slice("/dev/".length),
    facts: kept(seen),
    isBlank: false,
    attachment: { device, diskSequence, backingInode, backingDevnum },
    devnum: devnum as Devnum,
    setUpBy,
    image: { folder: backingFile.slice(0, end) || "/", name: backingFile.slice(end + 1) },
    range: { offset, size, sectorSize },
    content,
  };
}

// A copy by itself. Short ones share their memory with whatever is made at about the same time, and hold it all.
function kept(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(copy);
  return copy;
}

/** Whether the device that the facts are of is the one that was described. */
function agrees(device: LoopDevice): boolean {
  const info = decodeLoopInfo(seen);
  const image = decodeFileFacts(seen.subarray(DEVICE_FACTS_SIZE));
  const { offset, sizeLimit, diskSequence, size, sectorSize, readOnly, reference } = device;
  return (
    info.number === device.number &&
    info.inode === image.inode &&
    Number(info.inode) === device.backingInode &&
    devnum(info.device) === image.devnum &&
    image.devnum === device.backingDevnum &&
    !device.backingFileDeleted &&
    ((info.flags & LO_FLAGS_AUTOCLEAR) !== 0) === device.autoclear &&
    ((info.flags & LO_FLAGS_PARTSCAN) !== 0) === device.partitionScan &&
    ((info.flags & LO_FLAGS_DIRECT_IO) !== 0) === device.directIo &&
    Number(info.offset) === offset &&
    Number(info.sizeLimit) === sizeLimit &&
    info.reference === reference &&
    isDeepStrictEqual(decodeBlockFacts(seen), { diskSequence, size, sectorSize, readOnly })
  );
}

/** As `Glances.isUntouched`, of any device, with a look into its image. */
export async function isAsDescribed(known: Described): Promise<boolean> {
  const { attachment, facts, image, range, content } = known;
  try {
    using loop = openFile(attachment.device, O_RDONLY);
    using opened = openImage(loop, `${image.folder}/${image.name}`);
    if (!opened || facts.compare(seen, 0, DEVICE_FACTS_SIZE, 0, DEVICE_FACTS_SIZE) !== 0) {
      return false;
    }
    const { inode, devnum, size, blocks } = decodeFileFacts(seen.subarray(DEVICE_FACTS_SIZE));
    const before = decodeFileFacts(facts.subarray(DEVICE_FACTS_SIZE));
    if (inode !== before.inode || devnum !== before.devnum || size !== before.size) {
      return false;
    }
    seen.copy(facts);
    const present = Math.min(range.size, size - range.offset);
    if (present > 0 && isHole(opened, range.offset, present)) {
      known.isBlank = blocks === 0;
      return content.kind === "empty";
    }
    known.isBlank = false;
    const found = await probe(opened, range);
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
 * same.
 */
function openImage(loop: OpenFile, path: string): OpenFile | undefined {
  if (!lookAtDevice(loop.fd)) {
    return undefined;
  }
  const image = openWithoutLinks(path, O_RDONLY);
  let isRegular = false;
  try {
    isRegular = lookAtImage(image.fd);
    return isRegular ? image : undefined;
  } finally {
    if (!isRegular) {
      image[Symbol.dispose]();
    }
  }
}
