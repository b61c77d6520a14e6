/* How full mounted file systems are. */
import { statfs } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { Device, Mount } from "../protocol";

/** A file system that needs longer than this to say how full it is says it another time; milliseconds. */
const PATIENCE = 300;
// Behind these is a program that may have stopped answering.
const answeredByPrograms = /^fuse/;

// What hasn't answered yet takes a thread: it isn't asked again.
const waiting = new Set<string>();

/** Adds to every mount of these devices how full it is, where it can be told at once. */
export async function addSpace(devices: readonly Device[]): Promise<void> {
  const mounts = devices.flatMap((device) => [...device.mounts, ...device.partitions.flatMap(({ mounts }) => mounts)]);
  const pending = mounts.map(addTo);
  if (pending.length > 0) {
    const enough = new AbortController();
    await Promise.race([Promise.all(pending), sleep(PATIENCE, undefined, { signal: enough.signal })]);
    enough.abort();
  }
}

async function addTo(mount: Mount): Promise<void> {
  const { target, fileSystem } = mount;
  if (answeredByPrograms.test(fileSystem) || waiting.has(target)) {
    return;
  }
  waiting.add(target);
  try {
    const { bsize, blocks, bfree, bavail } = await statfs(target);
    mount.space = { total: blocks * bsize, used: (blocks - bfree) * bsize, available: bavail * bsize };
  } catch {
    // Where we may not go, or gone meanwhile: then nothing is said of it.
  } finally {
    waiting.delete(target);
  }
}
