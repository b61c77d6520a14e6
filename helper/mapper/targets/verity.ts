/* verity: a device whose every block is proven by a tree of hashes. Documentation/admin-guide/device-mapper/verity.rst */
import { sectors, sectorsIn } from "../../linux/dm";
import { type Extent, type Span, type TargetKind, withCount } from "./target";

/** "version data hashes dataBlock hashBlock dataBlocks hashStart algorithm digest salt [count option…]" */
export interface Verity {
  version: number;
  dataDevice: string;
  hashDevice: string;
  /** In bytes. */
  dataBlockSize: number;
  hashBlockSize: number;
  dataBlocks: number;
  /** In hash blocks. */
  hashStart: number;
  algorithm: string;
  rootDigest: string;
  salt: string;
  options: string[];
}

export const verity: TargetKind<Verity> = {
  type: "verity",
  parse(words, { start, length }) {
    const target: Verity = {
      version: words.number("the version"),
      dataDevice: words.word("the data device"),
      hashDevice: words.word("the hash device"),
      dataBlockSize: words.number("the size of a data block"),
      hashBlockSize: words.number("the size of a hash block"),
      dataBlocks: words.number("the number of data blocks"),
      hashStart: words.number("the start of the hashes"),
      algorithm: words.word("the algorithm"),
      rootDigest: words.word("the root digest"),
      salt: words.word("the salt"),
      options: words.counted("options"),
    };
    for (const size of [target.dataBlockSize, target.hashBlockSize]) {
      if (size < 512 || !Number.isInteger(Math.log2(size))) {
        throw words.problem("a block's size is not a power of two of at least 512 bytes");
      }
    }
    if (!/^([0-9a-f]{2})+$/i.test(target.rootDigest) || !/^(-|([0-9a-f]{2})+)$/i.test(target.salt)) {
      throw words.problem("the root digest or the salt is not hexadecimal");
    }
    if (start !== 0 || length > sectorsIn(target.dataBlocks * target.dataBlockSize)) {
      throw words.problem("its place in the table is not the data's");
    }
    return target;
  },
  format: (target) => [
    String(target.version),
    target.dataDevice,
    target.hashDevice,
    String(target.dataBlockSize),
    String(target.hashBlockSize),
    String(target.dataBlocks),
    String(target.hashStart),
    target.algorithm,
    target.rootDigest,
    target.salt,
    ...withCount(target.options),
  ],
  extents,
  withDevices: (target, replace) => ({
    ...target,
    dataDevice: replace(target.dataDevice),
    hashDevice: replace(target.hashDevice),
  }),
};

// Of the hashes their first block at least: how many there are, depends on the algorithm.
function extents(
  { dataDevice, hashDevice, dataBlocks, dataBlockSize, hashStart, hashBlockSize }: Verity,
  _: Span,
): Extent[] {
  return [
    { device: dataDevice, start: sectors(0), length: sectorsIn(dataBlocks * dataBlockSize), onlyRead: true },
    {
      device: hashDevice,
      start: sectorsIn(hashStart * hashBlockSize),
      length: sectorsIn(hashBlockSize),
      onlyRead: true,
    },
  ];
}
