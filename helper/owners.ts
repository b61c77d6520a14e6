/*
 * Who attached which device through us, kept where only root can write and nothing outlives a boot, just as the devices
 * don't. One small file for each device: helpers of several users don't get in each other's way.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
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

/** The nodes of those of these that the caller attached through us. */
export function ownedBy(caller: Caller, attachments: readonly Attachment[]): string[] {
  let remembered: Set<string>;
  try {
    // Most machines have many devices of the system's: no file is looked for in vain for each.
    remembered = new Set(readdirSync(FOLDER));
  } catch {
    return [];
  }
  return attachments
    .filter((found) => remembered.has(basename(fileOf(found.device))) && ownerOf(found) === caller.uid)
    .map(({ device }) => device);
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
  const whose = owner === undefined ? "the system or another program" : (userById(owner)?.name ?? `user ${owner}`);
  throw new Problem("notPermitted", `${device} was set up by ${whose}. Confirm that it may be changed.`, {
    device,
    foreign: true,
  });
}
