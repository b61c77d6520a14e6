/* An image that is itself a block device, whole: it is used as it is, with no loop device between. */
import { type Probed, probe, tableFaults, unknownContent } from "../content/probe";
import { deviceSize, diskSequence, isReadOnly, sectorSize } from "../linux/block";
import type { Devnum } from "../linux/devnum";
import { KernelError } from "../linux/errno";
import { O_RDONLY, type OpenFile, openFile } from "../linux/file";
import { nameOf, nodeOf, partitionScanEnabled } from "../linux/sysfs";
import { describePartitions } from "../partition/describe";
import { Problem } from "../problem";
import type { CheckedParams, LoopDevice } from "../protocol";
import { allHoldersOf, loopsByImage, mountsByDevice } from "../users";

/** Not the number of any loop device: what is described is none. */
const NO_NUMBER = -1;

/**
 * Whether a block device is already all that is wished for. Who demands of a device what this one can't be (read-only
 * though it is writable, another sector size) gets a loop device after all.
 */
export function servesAsItIs(wish: CheckedParams<"loop/attach">, block: OpenFile): boolean {
  return (
    wish.offset === 0 &&
    (wish.sizeLimit === 0 || BigInt(wish.sizeLimit) === deviceSize(block)) &&
    (wish.readOnly !== true || isReadOnly(block)) &&
    (wish.sectorSize === "probe" || wish.sectorSize === sectorSize(block)) &&
    wish.directIo !== true &&
    wish.device === undefined &&
    wish.overlap !== "allow" &&
    wish.reference === "" &&
    !wish.autoclear &&
    !wish.inMemory
  );
}

/** @param describe for a device that is a loop device itself */
export async function describeAsItIs(
  block: OpenFile,
  describe: (disk: string) => Promise<LoopDevice>,
): Promise<LoopDevice> {
  const devnum = block.devnum();
  const name = nameOf(devnum);
  if (name === undefined) {
    throw new Problem("notFound", `The kernel has no device for ${block.path} any more.`);
  }
  return /^loop\d+$/.test(name) ? await describe(name) : await describeOther(name, devnum, block.fd);
}

async function describeOther(name: string, devnum: Devnum, fd: number): Promise<LoopDevice> {
  const device = nodeOf(name);
  using file = openFile(`/proc/self/fd/${fd}`, O_RDONLY);
  const size = Number(deviceSize(file));
  const mounts = mountsByDevice();
  const loops = loopsByImage();
  const { content, table } = await probeIfReadable(file, size);
  return {
    kind: "loop",
    device,
    number: NO_NUMBER,
    devnum,
    diskSequence: diskSequence(file),
    size,
    sectorSize: sectorSize(file),
    readOnly: isReadOnly(file),
    backingFile: device,
    backingInode: 0,
    backingDevnum: "",
    backingFileDeleted: false,
    offset: 0,
    sizeLimit: 0,
    autoclear: false,
    partitionScan: partitionScanEnabled(name),
    directIo: false,
    reference: "",
    content,
    ...tableFaults(table),
    partitions: await describePartitions(name, file, table, sectorSize(file), {
      mountsOf: (number) => mounts.get(number) ?? [],
      holdersOf: (folder, number) => allHoldersOf(folder, number, loops),
    }),
    mounts: mounts.get(devnum) ?? [],
    // A partition has its folder here, too.
    holders: allHoldersOf(`/sys/class/block/${name}`, devnum, loops),
  };
}

async function probeIfReadable(file: OpenFile, size: number): Promise<Probed> {
  try {
    return await probe(file, { offset: 0, size, sectorSize: sectorSize(file) });
  } catch (error) {
    if (error instanceof KernelError || error instanceof Problem) {
      return { content: unknownContent, table: undefined };
    }
    throw error;
  }
}
