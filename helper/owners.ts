/*
 * Who attached which device through us, kept where only root can write and nothing outlives a boot, just as the devices
 * don't. One small file for each device: helpers of several users don't get in each other's way.
 *
 * An entry is one line of JSON, and the last whole line counts. What is known better later is written behind: who reads
 * meanwhile sees the one or the other, and no file system has to write anything to disk for it, as some do where a file
 * is replaced. A file that says nothing stays for the device's next attachment: where /run is on a disk, as in many
 * containers, making one anew takes up to 0.4 ms, as ext4 looks for an inode that wasn't freed lately.
 */
import {
  type BigIntStats,
  closeSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { basename } from "node:path";
import * as v from "valibot";
import type { Caller } from "./caller";
import { userById } from "./linux/users";
import { Problem } from "./problem";

const FOLDER = "/run/diskloom";

const Entry = v.object({ uid: v.number(), identity: v.string(), after: v.optional(v.number()) });

/**
 * What tells a device's present attachment from any before and after it: the kernel's sequence number or, before Linux
 * 5.15, the image at least.
 */
export interface Attachment {
  device: string;
  diskSequence: number | null;
  backingInode: number;
  backingDevnum: string;
}

function identityOf(attachment: Attachment): string {
  return attachment.diskSequence === null ? imageOf(attachment) : `sequence ${attachment.diskSequence}`;
}

function imageOf({ backingDevnum, backingInode }: Attachment): string {
  return `image ${backingDevnum} ${backingInode}`;
}

function isMeant({ identity, after }: v.InferOutput<typeof Entry>, attachment: Attachment): boolean {
  return after === undefined
    ? identity === identityOf(attachment)
    : identity === imageOf(attachment) && (attachment.diskSequence ?? 0) > after;
}

function entryOf(device: string): string {
  return device.slice("/dev/".length).replaceAll("/", "-");
}

function fileOf(device: string): string {
  return `${FOLDER}/${entryOf(device)}.json`;
}

/**
 * Remembers that this attachment is the caller's. Where that can't be (a container whose /run is read-only) the device
 * is nobody's, and its user will be asked whether it is meant.
 *
 * @param expected whether it follows on `expectOwner`
 * @returns whether it is remembered
 */
export function recordOwner(attachment: Attachment, caller: Caller, expected = false): boolean {
  return write(attachment.device, { uid: caller.uid, identity: identityOf(attachment) }, { behind: expected });
}

/**
 * As `recordOwner`, for what the caller is about to attach to this device, whose sequence number is not known yet: so
 * that it is the caller's, too, where we are killed before we know.
 *
 * @param before the device as it is now, unbound, with the image that it will have
 */
export function expectOwner(before: Attachment, caller: Caller): void {
  const { device, diskSequence: after } = before;
  write(device, { uid: caller.uid, identity: imageOf(before), ...(after !== null && { after }) }, { behind: false });
}

/** @param behind what is said already, rather than in its place */
function write(device: string, entry: v.InferOutput<typeof Entry>, { behind }: { behind: boolean }): boolean {
  try {
    const file = openToAppend(fileOf(device));
    try {
      if (!behind && fstatSync(file).size > 0) {
        ftruncateSync(file);
      }
      // All of it or an error: half a line isn't remembered.
      writeFileSync(file, `${JSON.stringify(entry)}\n`);
    } finally {
      closeSync(file);
    }
    return true;
  } catch (error) {
    process.stderr.write(`Whose ${device} is can't be remembered: ${error}\n`);
    return false;
  }
}

function openToAppend(path: string): number {
  const open = () => openSync(path, "a", 0o644);
  try {
    return open();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") {
      throw error;
    }
    mkdirSync(FOLDER, { recursive: true, mode: 0o755 });
    return open();
  }
}

/** To be called as soon as an attachment is gone, or what was expected has not come to be. */
export function forgetOwner(device: string): void {
  try {
    truncateSync(fileOf(device));
  } catch {
    // It had none; or it stays, and is of an attachment that will not come again.
  }
}

/** As `forgetOwner`, where others may have the device by now: what they note of it isn't ours to delete. */
export function forgetOwnerOf(attachment: Attachment): void {
  if (ownerOf(attachment) !== undefined) {
    forgetOwner(attachment.device);
  }
}

/** The user who attached it through us; `undefined` where somebody else did. */
export function ownerOf(attachment: Attachment): number | undefined {
  try {
    const entries = readFileSync(fileOf(attachment.device), "utf8").split("\n");
    // Behind the last newline is nothing, or a line that somebody is just writing.
    const entry = v.parse(Entry, JSON.parse(entries.at(-2) ?? ""));
    return isMeant(entry, attachment) ? entry.uid : undefined;
  } catch {
    // None there, or none of ours: nobody's then, which is the careful answer.
    return undefined;
  }
}

// All entries of an attachment name the same user: as long as it is the same and so is the file, so is what that says.
const known = new Map<string, { identity: string; file: string; owner: { uid: number; name: string } }>();

/** As `ownerNamed`, of many devices: those that nobody has a file for, as most of a long list, aren't looked at. */
export function ownersNamed(): typeof ownerNamed {
  let files: string[];
  try {
    files = readdirSync(FOLDER);
  } catch {
    files = [];
  }
  // Their names are those of nodes right in /dev.
  const noted = new Set(files.map((file) => `/dev/${basename(file, ".json")}`));
  return (attachment) => (noted.has(attachment.device) ? ownerNamed(attachment) : undefined);
}

/** As `ownerOf`, with the user's name: "1000" where the user database has none. */
export function ownerNamed(attachment: Attachment): { uid: number; name: string } | undefined {
  const { device } = attachment;
  const identity = identityOf(attachment);
  // Most devices of a long list are nobody's: a look is cheaper than an error.
  const stat = statIfThere(fileOf(device));
  if (!stat?.size) {
    return undefined;
  }
  const file = `${stat.ino} ${stat.ctimeNs}`;
  const found = known.get(device);
  // Without the kernel's number, the next attachment of the same image can't be told from this one.
  if (attachment.diskSequence !== null && found?.identity === identity && found.file === file) {
    return found.owner;
  }
  const uid = ownerOf(attachment);
  if (uid === undefined) {
    return undefined;
  }
  const owner = { uid, name: nameOf(uid) };
  known.set(device, { identity, file, owner });
  return owner;
}

function statIfThere(path: string): BigIntStats | undefined {
  try {
    return statSync(path, { bigint: true, throwIfNoEntry: false });
  } catch {
    // Something else stands at the folder's place: as where there is none.
    return undefined;
  }
}

function nameOf(uid: number): string {
  return userById(uid)?.name ?? `${uid}`;
}

/**
 * @param device what it is called where it is spoken of
 * @throws Problem notPermitted where the device is somebody else's and the caller hasn't confirmed to mean it
 */
export function checkOwner(
  attachment: Attachment,
  caller: Caller,
  confirmed: boolean,
  device = attachment.device,
): void {
  const owner = ownerOf(attachment);
  if (owner === caller.uid || confirmed) {
    return;
  }
  const whose =
    owner === undefined
      ? "the system or another program, not by Diskloom"
      : `${userById(owner)?.name ?? `user ${owner}`}, not by you`;
  throw new Problem("notPermitted", `${device} was set up by ${whose}.`, {
    device,
    foreign: true,
  });
}
