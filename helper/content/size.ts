/*
 * The size that a file system says it has. libblkid tells it from version 2.39 on, and not of all of them; what it has
 * just read is still in memory, so that a second look costs next to nothing.
 */
import type { OpenFile } from "../linux/file";
import { readAtOnce } from "./read";

/** Where a superblock stands and how it says the size, in bytes. */
interface Superblock {
  at: number;
  length: number;
  size(block: Buffer): number;
}

// struct ext4_super_block in the kernel's fs/ext4/ext4.h
const ext: Superblock = {
  at: 1024,
  length: 0x154,
  size(block) {
    const EXT4_FEATURE_INCOMPAT_64BIT = 0x80;
    const high = block.readUInt32LE(0x60) & EXT4_FEATURE_INCOMPAT_64BIT ? block.readUInt32LE(0x150) : 0;
    return (high * 2 ** 32 + block.readUInt32LE(4)) * 2 ** (10 + block.readUInt32LE(0x18));
  },
};

const superblocks: Record<string, Superblock> = {
  ext2: ext,
  ext3: ext,
  ext4: ext,
  // struct xfs_dsb in fs/xfs/libxfs/xfs_format.h
  xfs: { at: 0, length: 16, size: (block) => Number(block.readBigUInt64BE(8)) * block.readUInt32BE(4) },
  // struct squashfs_super_block in fs/squashfs/squashfs_fs.h
  squashfs: { at: 0, length: 48, size: (block) => Number(block.readBigUInt64LE(40)) },
  // struct erofs_super_block in fs/erofs/erofs_fs.h
  erofs: { at: 1024, length: 40, size: (block) => block.readUInt32LE(36) * 2 ** block.readUInt8(12) },
  // struct iso_primary_descriptor in include/uapi/linux/iso_fs.h
  iso9660: { at: 32768, length: 130, size: (block) => block.readUInt32LE(80) * block.readUInt16LE(128) },
};

/**
 * The bytes that a file system has by its own word; 0 where it can't be told.
 *
 * @param type libblkid's name of it
 * @throws KernelError where the file can't be read
 */
export function sizeBySuperblock(file: OpenFile, offset: number, type: string): number {
  const superblock = superblocks[type];
  if (!superblock) {
    return 0;
  }
  const block = readAtOnce(file, offset + superblock.at, superblock.length);
  const size = block.length === superblock.length ? superblock.size(block) : 0;
  return Number.isSafeInteger(size) ? size : 0;
}
