/* Mount options: those that do no harm, and those that are given unasked. */
import type { Caller } from "../caller";
import { isMountFlag, type MountFlag } from "../linux/mount";
import { Problem } from "../problem";

/** Options as `linux/mount` takes them. */
export interface CheckedOptions {
  flags: Set<MountFlag>;
  options: string[];
}

type Test = (value: string, caller: Caller) => boolean;

const OCTAL = /^0?[0-7]{1,4}$/;
const mode: Test = (value) => OCTAL.test(value);
const ownUid: Test = (value, { uid }) => uid === 0 || value === `${uid}`;
const ownGid: Test = (value, { uid, gid, groups }) =>
  uid === 0 || value === `${gid}` || groups.some((group) => value === `${group}`);
const among =
  (...values: string[]): Test =>
  (value) =>
    values.includes(value);
const alone: Test = (value) => value === "";
const ids = { uid: ownUid, gid: ownGid };
const masks = { umask: mode, fmask: mode, dmask: mode };
const discarding = { discard: alone, nodiscard: alone };
const ext = { ...discarding, errors: among("continue", "remount-ro"), noload: alone };
const compression: Test = (value) => /^(no|none|lzo|(zlib|zstd)(:\d{1,2})?)$/.test(value);

// What can't harm anybody but whoever has the device, as mount(8) and the kernel's Documentation/filesystems describe
// it. Nothing in it reaches for other files or devices, makes the kernel panic or trusts the image any further.
const harmless: Record<string, Record<string, Test>> = {
  ext2: ext,
  ext3: ext,
  ext4: ext,
  xfs: { ...discarding, norecovery: alone, nouuid: alone },
  btrfs: {
    ...discarding,
    subvol: (value) => value !== "" && !value.includes(".."),
    subvolid: (value) => /^\d{1,15}$/.test(value),
    compress: compression,
    "compress-force": compression,
    degraded: alone,
    autodefrag: alone,
    ssd: alone,
    nossd: alone,
    rescue: among("nologreplay"),
  },
  f2fs: discarding,
  vfat: {
    ...ids,
    ...masks,
    ...discarding,
    utf8: alone,
    flush: alone,
    showexec: alone,
    shortname: among("lower", "win95", "winnt", "mixed"),
    tz: among("UTC"),
  },
  exfat: { ...ids, ...masks, ...discarding },
  ntfs3: { ...ids, ...masks, ...discarding, windows_names: alone },
  ntfs: { ...ids, ...masks },
  hfs: ids,
  hfsplus: { ...ids, umask: mode },
  iso9660: { ...ids, mode, dmode: mode, norock: alone, nojoliet: alone, utf8: alone },
  udf: { ...ids, umask: mode, mode, dmode: mode },
};

/**
 * What is asked for, if it is harmless.
 * @throws Problem invalid, naming all that are not
 */
export function checkOptions(wishes: readonly string[], fileSystem: string, caller: Caller): CheckedOptions {
  const checked: CheckedOptions = { flags: new Set(), options: [] };
  const refused: string[] = [];
  for (const wish of wishes) {
    const equals = wish.indexOf("=");
    const key = equals < 0 ? wish : wish.slice(0, equals);
    const value = equals < 0 ? "" : wish.slice(equals + 1);
    const tests = harmless[fileSystem] ?? {};
    const test = Object.hasOwn(tests, key) ? tests[key] : undefined;
    if (isMountFlag(wish)) {
      checked.flags.add(wish);
    } else if (test?.(value, caller) && !/[,\p{Cc}]/u.test(wish) && (test !== alone || equals < 0)) {
      checked.options.push(wish);
    } else {
      refused.push(wish);
    }
  }
  if (refused.length > 0) {
    const known = Object.keys(harmless[fileSystem] ?? {});
    const own = known.length > 0 ? `, and for ${fileSystem} also ${known.join(", ")}` : "";
    throw new Problem(
      "invalid",
      `These mount options aren't among the harmless ones: ${refused.map((wish) => JSON.stringify(wish)).join(", ")}. ` +
        `Leave them out; ro, noexec, noatime, sync and the like are taken${own}.`,
    );
  }
  return checked;
}

// File systems without owners of their own: their files are the caller's, and others may read them.
const unasked: Record<string, readonly string[]> = {
  vfat: ["umask=0022", "utf8"],
  exfat: ["umask=0022"],
  ntfs3: ["umask=0022"],
  ntfs: ["umask=0022"],
  hfs: [],
  hfsplus: ["umask=0022"],
  iso9660: ["utf8"],
  udf: [],
};

// A superblock can have the kernel panic at the first error (tune2fs -e panic): whoever has made an image is not to
// bring down the machine that it is mounted on.
const atErrors: ReadonlySet<string> = new Set(["ext2", "ext3", "ext4"]);

/**
 * What is given unasked: never rights to gain by what is in an image nor a panic, and owners where there are none in it.
 */
export function addUnasked({ flags, options }: CheckedOptions, fileSystem: string, caller: Caller): void {
  if (caller.uid !== 0) {
    flags.add("nosuid").add("nodev");
  }
  if (atErrors.has(fileSystem) && !options.some((wish) => wish.startsWith("errors="))) {
    options.push("errors=remount-ro");
  }
  const own = unasked[fileSystem];
  if (own) {
    for (const option of [`uid=${caller.uid}`, `gid=${caller.gid}`, ...own]) {
      const key = option.replace(/=.*/, "=");
      // What is asked for goes first, and a mask for files or folders is more than one for both.
      if (!options.some((wish) => wish.startsWith(key) || (key === "umask=" && /^[fd]mask=/.test(wish)))) {
        options.push(option);
      }
    }
  }
}

// A journal that wasn't written back needs that before the file system is right, and on a device that can't be written
// to that can't be: it can be mounted as it is, only.
const withoutJournal: Record<string, string> = {
  ext3: "noload",
  ext4: "noload",
  xfs: "norecovery",
  btrfs: "rescue=nologreplay",
};

/** The option that leaves a file system's journal as it is; `undefined` where there is none. */
export function journalOption(fileSystem: string): string | undefined {
  return withoutJournal[fileSystem];
}
