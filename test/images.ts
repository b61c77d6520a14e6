/* Disk images for the tests, made by the tools that people make theirs with. None of it needs root. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const KiB = 1024;
export const MiB = 1024 * KiB;

/** Runs a program and returns what it printed. Its complaints are part of the error. */
export function run(program: string, args: string[], input?: string): string {
  // Debian keeps these tools where only root looks.
  const path = `${process.env.PATH ?? ""}:/usr/sbin:/sbin`;
  const env = { ...process.env, PATH: path, LC_ALL: "C.UTF-8" };
  return execFileSync(program, args, { input: input ?? "", encoding: "utf8", stdio: ["pipe", "pipe", "pipe"], env });
}

/** A folder for images that goes with all its files. */
export class Workshop implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), "diskloom-test-"));

  path(name: string): string {
    return join(this.folder, name);
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** A file of this size without any data; bytes. */
  blank(name: string, size: number): string {
    const path = this.path(name);
    writeFileSync(path, "");
    truncateSync(path, size);
    return path;
  }

  /** A file system of its own; size in bytes. */
  fileSystem(type: FileSystem, name: string = type, size = smallest[type]): string {
    const path = this.blank(`${name}.${type}`, size);
    const tree = this.path("tree");
    mkdirSync(tree, { recursive: true });
    writeFileSync(join(tree, "hello.txt"), "Hello.\n");
    switch (type) {
      case "ext4":
        run("mkfs.ext4", ["-q", "-F", "-L", "Ext Label", path]);
        break;
      case "xfs":
        run("mkfs.xfs", ["-q", "-f", "-L", "xfslabel", path]);
        break;
      case "btrfs":
        run("mkfs.btrfs", ["-q", "-f", "-L", "btrfs ✓ label", path]);
        break;
      case "vfat":
        run("mkfs.vfat", ["-n", "BOOT", path]);
        break;
      case "squashfs":
        rmSync(path);
        run("mksquashfs", [tree, path, "-quiet", "-no-progress"]);
        break;
      case "erofs":
        rmSync(path);
        run("mkfs.erofs", [path, tree]);
        break;
      case "swap":
        run("mkswap", ["-L", "swaplabel", path]);
        break;
      case "luks":
        run(
          "cryptsetup",
          [..."luksFormat -q --type luks2 --label vault --pbkdf pbkdf2".split(" "), ...quick, path, "-"],
          "secret",
        );
        break;
      case "iso":
        this.#hybridIso(tree, path);
        break;
    }
    return path;
  }

  #hybridIso(tree: string, path: string): void {
    const boot = this.path("efi.img");
    writeFileSync(boot, "");
    truncateSync(boot, MiB);
    run("mkfs.vfat", [boot]);
    const arguments_ = ["-as", "mkisofs", "-quiet", "-V", "HYBRID", "-o", path, "-append_partition", "2", "0xef", boot];
    run("xorriso", [...arguments_, "-partition_offset", "16", tree]);
  }

  /**
   * A partitioned disk.
   * @param script what sfdisk(8) reads
   */
  disk(name: string, size: number, script: string, sectorSize = 512): string {
    const path = this.blank(name, size);
    if (sectorSize === 512) {
      run("sfdisk", ["-q", "--no-reread", "--no-tell-kernel", path], script);
    } else {
      // Before version 2.41, sfdisk can't be told the sector size of a file; fdisk can, and reads the same scripts.
      writeFileSync(`${path}.script`, script);
      run("fdisk", ["-b", `${sectorSize}`, path], `I\n${path}.script\nw\n`);
    }
    return path;
  }

  /** Puts a file system into a disk, at an offset in bytes. */
  put(disk: string, offset: number, content: string): void {
    const places = [`if=${content}`, `of=${disk}`, "bs=1M", `seek=${offset}`];
    run("dd", [...places, "oflag=seek_bytes", "conv=sparse,notrunc", "status=none"]);
  }
}

// So that no test waits for a key that nobody ever guesses at.
const quick = ["--pbkdf-force-iterations", "1000"];

const smallest = {
  ext4: 4 * MiB,
  xfs: 300 * MiB,
  btrfs: 110 * MiB,
  vfat: 4 * MiB,
  squashfs: 0,
  erofs: 0,
  swap: MiB,
  luks: 20 * MiB,
  iso: 0,
};
export type FileSystem = keyof typeof smallest;

/** What blkid(8) tells of a part of a file, by its names (TYPE, LABEL …); undefined where it finds nothing. */
export function blkid(path: string, range?: { offset: number; size: number }): Record<string, string> | undefined {
  const part = range ? ["-O", `${range.offset}`, "-S", `${range.size}`] : [];
  let text: string;
  try {
    text = run("blkid", ["-p", "-o", "export", ...part, path]);
  } catch {
    return undefined;
  }
  const pairs = text.split("\n").flatMap((line): [string, string][] => {
    const [, key, value] = /^(\w+)=(.*)$/.exec(line) ?? [];
    // It escapes blanks for shells.
    return key !== undefined && value !== undefined ? [[key, value.replace(/\\(.)/g, "$1")]] : [];
  });
  const said = Object.fromEntries(pairs);
  // The only format in which it doesn't write bytes beyond ASCII like cat -v.
  const label =
    "LABEL" in said ? { LABEL: run("blkid", ["-p", "-o", "value", "-s", "LABEL", ...part, path]).trimEnd() } : {};
  return { ...said, ...label };
}

/** A partition as sfdisk(8) sees it; bytes. */
export interface SfdiskPartition {
  number: number;
  start: number;
  size: number;
  type: string;
  uuid: string;
  name: string;
}

/** The partition table that sfdisk(8) reads; for other sectors than its own, fdisk's dump in the same words. */
export function sfdisk(path: string, sectorSize = 512): { label: string; id: string; partitions: SfdiskPartition[] } {
  let dump: string;
  if (sectorSize === 512) {
    dump = run("sfdisk", ["--dump", path]);
  } else {
    rmSync(`${path}.dump`, { force: true });
    run("fdisk", ["-b", `${sectorSize}`, path], `O\n${path}.dump\nq\n`);
    dump = readFileSync(`${path}.dump`, "utf8");
  }
  const header = (name: string) => new RegExp(`^${name}: (.*)$`, "m").exec(dump)?.[1] ?? "";
  const partitions = dump.split("\n").flatMap((line): SfdiskPartition[] => {
    const [, number, fields = ""] = /^\S+?(\d+) : (.*)$/.exec(line) ?? [];
    const field = (name: string) =>
      new RegExp(`\\b${name}= *("[^"]*"|[^,]*)`).exec(fields)?.[1]?.replaceAll('"', "") ?? "";
    const bytes = (name: string) => Number(field(name)) * sectorSize;
    return number === undefined
      ? []
      : [
          {
            number: Number(number),
            start: bytes("start"),
            size: bytes("size"),
            type: field("type"),
            uuid: field("uuid"),
            name: decoded(field("name")),
          },
        ];
  });
  return { label: header("label"), id: header("label-id"), partitions };
}

// It writes the bytes of a name beyond ASCII in hexadecimal.
function decoded(name: string): string {
  const latin1 = name.replace(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(latin1, "latin1").toString("utf8");
}
