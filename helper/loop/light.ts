/*
 * Attachments that the kernel takes back without reading, writing or freeing anything, so that nobody has to be kept
 * waiting on another thread for it.
 */
import { isUncached } from "../linux/cachestat";
import type { OpenFile } from "../linux/file";
import { imageShown, isBound, isMarkedDeleted } from "./state";

/** Sequence numbers of attachments whose image is on a file system of this machine, by the devices' kernel names. */
const local = new Map<string, number>();

/** Remembers of an attachment that its image is on a file system that no other machine or program answers for. */
export function noteLocal(disk: string, sequence: number | null): void {
  if (sequence !== null) {
    local.set(disk, sequence);
  }
}

/**
 * Since Linux 6.11 LOOP_CLR_FD only marks the device, and what there is to do is done when it is closed; before, it waited
 * for the device's queue. Found out once, as distributions change their kernels.
 */
let marksOnly = false;

/** To be called after LOOP_CLR_FD of a device that only we have open, before it is closed. */
export function noteCleared(disk: string): void {
  marksOnly ||= isBound(disk);
}

/**
 * Whether detaching this attachment takes no time: of what was written nothing is in memory any more, and the image isn't
 * one that has been deleted, whose last user frees all its blocks.
 *
 * @param loop open, and flushed
 */
export function isLight(disk: string, loop: OpenFile, sequence: number | null): boolean {
  if (!marksOnly || sequence === null || local.get(disk) !== sequence || !isUncached(loop.fd)) {
    return false;
  }
  const shown = imageShown(disk);
  return shown !== undefined && !isMarkedDeleted(shown);
}
