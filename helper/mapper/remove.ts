/*
 * Taking a device away. The kernel does that in one step: a helper that is killed leaves the whole device or none, and
 * without udev at most a node that leads nowhere.
 */
import type { Devnum } from "../linux/devnum";
import { type DmStatus, dmFlags } from "../linux/dm";
import { isErrno } from "../linux/errno";
import { retry } from "../pause";
import { Problem } from "../problem";
import type { User } from "../protocol";
import { inWords } from "../users";
import type { MapperDeps, Meant } from "./deps";
import { holdDevice } from "./device";
import { inStepWithUdev } from "./udev";

export interface RemoveParams extends Meant {
  whenBusy: "refuse" | "deferred" | "unmount";
}

export interface RemoveDeps extends MapperDeps {
  /** What keeps the device busy. */
  usersOf(device: Devnum): Promise<User[]>;
  /** Unmounts everything that is mounted from the device. @throws Problem busy where something can't be */
  unmountAll(device: Devnum): Promise<void>;
}

/** What udev's programs need to look into a device that has just changed; dmsetup's --retry waits as long. */
const BUSY_LIMIT = 5000;

/**
 * `mapper/remove`. A device that is busy only by processes is tried again for 5 s, as udev's programs open every device
 * that changes; one that is mounted or has holders is refused at once.
 * @throws Problem busy with the users, notFound, stale
 */
export async function removeMapper(
  params: RemoveParams,
  deps: RemoveDeps,
): Promise<{ state: "removed" | "pending"; users: User[] }> {
  if (params.whenBusy === "unmount") {
    await using held = await holdDevice(deps.control, params);
    await deps.unmountAll(held.devnum);
  }
  let users: User[] = [];
  return retry(
    async () => {
      const { devnum, status } = await removeOnce(params, deps);
      if (status && (status.flags & dmFlags.DM_DEFERRED_REMOVE) === 0) {
        return { state: "removed" as const, users: [] };
      }
      users = await deps.usersOf(devnum);
      if (status) {
        return { state: "pending" as const, users };
      }
      if (users.some(({ kind }) => kind !== "process")) {
        throw inUse(params.device, users);
      }
      return undefined;
    },
    { limit: BUSY_LIMIT, signal: deps.signal, expired: () => inUse(params.device, users) },
  );
}

function inUse(device: string, users: User[]): Problem {
  const use =
    users.length > 0 ? `is in use: ${inWords(users)}` : "is kept open by a program that can't be seen from here";
  return new Problem("busy", `${device} ${use}. Close that, or have it removed when that ends.`, {
    errno: "EBUSY",
    call: "DM_DEV_REMOVE",
    device,
    users,
  });
}

/** One try; without a status where the device is busy. */
async function removeOnce(params: RemoveParams, deps: MapperDeps): Promise<{ devnum: Devnum; status?: DmStatus }> {
  const { control } = deps;
  const held = await holdDevice(control, params);
  const { devnum, name } = held;
  // The kernel removes nothing that we hold. It is let go right before and asked for by its number, which only another
  // removal, all through, and another device made since could have given away: that takes longer than what is between.
  await held[Symbol.asyncDispose]();
  try {
    const deferred = params.whenBusy === "deferred";
    const remove = (eventNumber: number) => control.remove({ devnum }, { deferred, eventNumber });
    return { devnum, status: await inStepWithUdev(deps, [name], remove) };
  } catch (error) {
    if (isErrno(error, "EBUSY")) {
      return { devnum };
    }
    if (isErrno(error, "ENXIO")) {
      throw Problem.of("notFound", `${params.device} was removed by somebody else just now.`, error, {
        device: params.device,
      });
    }
    throw error;
  }
}
