/*
 * Who attached which device through us, kept where only root can write and nothing outlives a boot, just as the devices
 * don't. One small file for each device: helpers of several users don't get in each other's way.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import * as v from "valibot";
import type { Caller } from "./caller";
import { userById } from "./linux/users";
import { Problem } from "./problem";

const FOLDER = "/run/diskloom";

const Entry = v.object({ uid: v.number(), identity: v.string() });

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

function identityOf({ diskSequence, backingDevnum, backingInode }: Attachment): string {
  return diskSequence === null ? `image ${backingDevnum} ${backingInode}` : `sequence ${diskSequence}`;
}

function fileOf(device: string): string {
  return `${FOLDER}/${device.slice("/dev/".length).replaceAll("/", "-")}.json`;
}

/**
 * Remembers that this attachment is the caller's. Where that can't be (a container whose /run is read-only) the device
 * is nobody's, and its user will be asked whether it is meant.
 */
export function recordOwner(attachment: Attachment, caller: Caller): void {
  try {
    write(attachment, caller);
  } catch (error) {
    process.stderr.write(`Whose ${attachment.device} is can't be remembered: ${error}\n`);
  }
}

function write(attachment: Attachment, caller: Caller): void {
  mkdirSync(FOLDER, { recursive: true, mode: 0o755 });
  const file = fileOf(attachment.device);
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, JSON.stringify({ uid: caller.uid, identity: identityOf(attachment) }), { mode: 0o644 });
  renameSync(draft, file);
}

export function forgetOwner(device: string): void {
  rmSync(fileOf(device), { force: true });
}

/** The user who attached it through us; `undefined` where somebody else did. */
export function ownerOf(attachment: Attachment): number | undefined {
  try {
    const entry = v.parse(Entry, JSON.parse(readFileSync(fileOf(attachment.device), "utf8")));
    return entry.identity === identityOf(attachment) ? entry.uid : undefined;
  } catch {
    // None there, or none of ours: nobody's then, which is the careful answer.
    return undefined;
  }
}

// Each entry is a file of its own that is never written to again: as long as it is the same, so is what it says.
const known = new Map<string, { identity: string; file: string; owner: { uid: number; name: string } }>();

/** As `ownerNamed`, of many devices: those that nobody has a file for, as most of a long list, aren't looked at. */
export function ownersNamed(): typeof ownerNamed {
  let files: ReadonlySet<string>;
  try {
    files = new Set(readdirSync(FOLDER));
  } catch {
    files = new Set();
  }
  return (attachment) => (files.has(basename(fileOf(attachment.device))) ? ownerNamed(attachment) : undefined);
}

/** As `ownerOf`, with the user's name: "1000" where the user database has none. */
export function ownerNamed(attachment: Attachment): { uid: number; name: string } | undefined {
  const { device } = attachment;
  const identity = identityOf(attachment);
  // Most devices of a long list are nobody's: a look is cheaper than an error.
  const stat = statSync(fileOf(device), { bigint: true, throwIfNoEntry: false });
  if (!stat) {
    return undefined;
  }
  const file = `${stat.ino} ${stat.ctimeNs}`;
  const found = known.get(device);
  if (found?.identity === identity && found.file === file) {
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
