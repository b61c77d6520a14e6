/*
 * Working together with udev. Where it runs, it makes the nodes and links, and whoever changes a device waits until it
 * has: a "cookie" goes with the change through the kernel's event to udev's rules, which count it down in a System V
 * semaphore of that key (95-dm-notify.rules). Where udev doesn't run, we make the nodes ourselves.
 *
 * A helper that is killed leaves the semaphore it waits on, as dmsetup would: it is of no consequence until the system
 * has too many, and `dmsetup udevcomplete_all` removes it.
 */
import { readFileSync, statSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { type DmName, type DmStatus, dmFlags } from "../linux/dm";
import type { DmControl } from "../linux/dmcontrol";
import { isErrno } from "../linux/errno";
import { Semaphore } from "../linux/semaphore";
import type { MapperDeps } from "./deps";
import { settleNode } from "./nodes";

// libdevmapper.h, "Cookie prefixes": the semaphore's key is the magic number and the base, what goes through the
// kernel is flags for the rules and the base.
const DM_COOKIE_MAGIC = 0x0d4d;
const DM_UDEV_FLAGS_SHIFT = 16;
/** The event comes of a deed, not of a scan: without it the rules hold back. */
const DM_UDEV_PRIMARY_SOURCE_FLAG = 0x0040;

const UDEV_SOCKET = / \/run\/udev\/control$/m;
const RULES_FOLDERS = ["/etc/udev/rules.d", "/run/udev/rules.d", "/usr/lib/udev/rules.d", "/lib/udev/rules.d"];
const RULES = ["55-dm.rules", "10-dm.rules"];
const NOTIFY_RULES = "95-dm-notify.rules";

/** udev is given that long; its own limit for one event is 180 s, which nobody waits for. */
const UDEV_TIMEOUT = 30_000;
/** A thread that sleeps on a semaphore can't be got back, so it does for so long at a time only, and few do. */
const LONGEST_SLEEP = 100;
const MOST_SLEEPING = 4;
/** Who has no thread to sleep on looks so often. */
const PAUSE = 20;

/**
 * Whether udev runs here and has the device mapper's rules. Its socket is looked for among the open ones: the file
 * alone may be left over from one that died, or come from outside the container that we are in.
 */
export function udevMakesNodes(): boolean {
  return (
    UDEV_SOCKET.test(readFileSync("/proc/net/unix", "utf8")) && RULES.some(ruleIsActive) && ruleIsActive(NOTIFY_RULES)
  );
}

function ruleIsActive(name: string): boolean {
  for (const folder of RULES_FOLDERS) {
    const stat = statSync(`${folder}/${name}`, { throwIfNoEntry: false });
    if (stat !== undefined) {
      // The first folder that has it decides; a link to /dev/null or an empty file there switches it off.
      return stat.isFile() && readFileSync(`${folder}/${name}`, "utf8").trim() !== "";
    }
  }
  return false;
}

/**
 * Does something to a device of which the kernel makes an event, and comes back once the nodes under these names are
 * as they should be: by udev within its time, by our own hand after.
 *
 * @param names those whose nodes come or go
 * @param deed gets the number to hand to the kernel, and returns its answer
 */
export async function inStepWithUdev(
  { control, signal, log, udevTimeout = UDEV_TIMEOUT }: MapperDeps,
  names: readonly DmName[],
  deed: (eventNumber: number) => Promise<DmStatus>,
): Promise<DmStatus> {
  const flags = DM_UDEV_PRIMARY_SOURCE_FLAG << DM_UDEV_FLAGS_SHIFT;
  if (!udevMakesNodes()) {
    const status = await deed(flags);
    settle(control, names);
    return status;
  }
  using cookie = createCookie();
  if (!cookie) {
    log?.("warning", "There is no semaphore to be had to wait for udev by (see /proc/sys/kernel/sem).");
    const status = await deed(flags);
    settle(control, names);
    return status;
  }
  const status = await deed(flags | (cookie.key & 0xffff));
  const waits = (status.flags & dmFlags.DM_UEVENT_GENERATED_FLAG) !== 0;
  if (waits && !(await completed(cookie, udevTimeout, signal)) && !signal.aborted) {
    log?.(
      "warning",
      `udev was not done with ${names.join(", ")} after ${udevTimeout} ms; the nodes are made without it.`,
    );
  }
  settle(control, names);
  return status;
}

// On a system with udev this finds all in place, and changes nothing.
function settle(control: DmControl, names: readonly DmName[]): void {
  for (const name of names) {
    settleNode(control, name);
  }
}

/** A semaphore of its own with one event outstanding; `undefined` where the system gives none. */
function createCookie(): Semaphore | undefined {
  for (let attempt = 0; attempt < 100; attempt++) {
    try {
      const base = 1 + Math.floor(Math.random() * 0xffff);
      const semaphore = Semaphore.create((DM_COOKIE_MAGIC << DM_UDEV_FLAGS_SHIFT) | base, 1);
      if (semaphore) {
        return semaphore;
      }
    } catch (error) {
      if (isErrno(error, "ENOSPC", "ENOSYS", "EPERM", "EACCES", "ENOMEM")) {
        return undefined;
      }
      throw error;
    }
  }
  return undefined;
}

let sleeping = 0;

/** Waits until udev has counted down, or somebody has removed the semaphore; false where time or patience ran out. */
async function completed(cookie: Semaphore, timeout: number, signal: AbortSignal): Promise<boolean> {
  const end = performance.now() + timeout;
  while (!(await completedSoon(cookie))) {
    if (performance.now() > end || signal.aborted) {
      return false;
    }
  }
  return true;
}

async function completedSoon(cookie: Semaphore): Promise<boolean> {
  if (sleeping === MOST_SLEEPING) {
    await sleep(PAUSE);
    return (cookie.value() ?? 0) === 0;
  }
  sleeping++;
  try {
    return await cookie.becomesZero(LONGEST_SLEEP);
  } finally {
    sleeping--;
  }
}
