/*
 * Who attached which device through us, kept where only root can write and nothing outlives a boot, just as the devices
 * don't. One small file for each device: helpers of several users don't get in each other's way.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
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

/** Of its own, as replacing a file makes some file systems write the new one to disk. */
function fileOfExpected(device: string): string {
  return `${FOLDER}/${entryOf(device)}.expected.json`;
}

/**
 * Remembers that this attachment is the caller's. Where that can't be (a container whose /run is read-only) the device
 * is nobody's, and its user will be asked whether it is meant.
 */
export function recordOwner(attachment: Attachment, caller: Caller): void {
  const { device } = attachment;
  write(device, fileOf(device), { uid: caller.uid, identity: identityOf(attachment) });
  expectNobody(device);
}

/**
 * As `recordOwner`, for what the caller is about to attach to this device, whose sequence number is not known yet: so
 * that it is the caller's, too, where we are killed before we know.
 *
 * @param before the device as it is now, unbound, with the image that it will have
 */
export function expectOwner(before: Attachment, caller: Caller): void {
  const { device, diskSequence: after } = before;
  write(device, fileOfExpected(device), {
    uid: caller.uid,
    identity: imageOf(before),
    ...(after !== null && { after }),
  });
}

/** What was expected has not come to be. */
export function expectNobody(device: string): void {
  remove(fileOfExpected(device));
}

function remove(file: string): void {
  // Mostly there is none, and to look is quicker than to fail.
  if (existsSync(file)) {
    rmSync(file, { force: true });
  }
}

function write(device: string, file: string, entry: v.InferOutput<typeof Entry>): void {
  try {
    mkdirSync(FOLDER, { recursive: true, mode: 0o755 });
    // One name for all: what a helper leaves that was killed here is written over by the next.
    const draft = `${file}.draft`;
    writeFileSync(draft, JSON.stringify(entry), { mode: 0o644 });
    renameSync(draft, file);
  } catch (error) {
    process.stderr.write(`Whose ${device} is can't be remembered: ${error}\n`);
  }
}

export function forgetOwner(device: string): void {
  remove(fileOf(device));
  expectNobody(device);
}

/** As `forgetOwner`, where others may have the device by now: what they note of it isn't ours to delete. */
export function forgetOwnerOf(attachment: Attachment): void {
  if (ownerOf(attachment) !== undefined) {
    forgetOwner(attachment.device);
  }
}

/** The user who attached it through us; `undefined` where somebody else did. */
export function ownerOf(attachment: Attachment): number | undefined {
  return ownerIn(fileOf(attachment.device), attachment) ?? ownerIn(fileOfExpected(attachment.device), attachment);
}

function ownerIn(file: string, attachment: Attachment): number | undefined {
  try {
    const entry = v.parse(Entry, JSON.parse(readFileSync(file, "utf8")));
    return isMeant(entry, attachment) ? entry.uid : undefined;
  } catch {
    // None there, or none of ours: nobody's then, which is the careful answer.
    return undefined;
  }
}

// Each entry is a file of its own that is never written to again: as long as it is the same, so is what it says.
const known = new Map<string, { identity: string; file: string; owner: { uid: number; name: string } }>();

/** As `ownerNamed`, of many devices: those that nobody has a file for, as most of a long list, aren't looked at. */
export function ownersNamed(): typeof ownerNamed {
  let files: string[];
  try {
    files = readdirSync(FOLDER);
  } catch {
    files = [];
  }
  const entries = files.flatMap((file) => [basename(file, ".json"), basename(file, ".expected.json")]);
  // Their names are those of nodes right in /dev.
  const noted = new Set(entries.map((entry) => `/dev/${entry}`));
  return (attachment) => (noted.has(attachment.device) ? ownerNamed(attachment) : undefined);
}

/** As `ownerOf`, with the user's name: "1000" where the user database has none. */
export function ownerNamed(attachment: Attachment): { uid: number; name: string } | undefined {
  const { device } = attachment;
  const identity = identityOf(attachment);
  // Most devices of a long list are nobody's: a look is cheaper than an error.
  const stat = [fileOf(device), fileOfExpected(device)]
    .map((file) => statSync(file, { bigint: true, throwIfNoEntry: false }))
    .find((stat) => stat !== undefined);
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
