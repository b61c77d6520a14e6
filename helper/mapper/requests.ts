/* The protocol's `mapper/*`: each on an open control device, for the caller, answered with the whole picture. */
import { type Caller, openImage } from "../caller";
import type { Devnum } from "../linux/devnum";
import type { DmControl } from "../linux/dmcontrol";
import { diskFolder, nameOf, nodeOf, readNumber } from "../linux/sysfs";
import { unmountAll } from "../mount/unmount";
import { type Attachment, checkOwner, forgetOwnerOf, ownerOf, recordOwner } from "../owners";
import { Problem } from "../problem";
import type { CheckedParams, MapperDevice, Method, Result } from "../protocol";
import { usersOf } from "../users";
import type { Work } from "../work";
import { clearMapper } from "./clear";
import { openControl } from "./control";
import { createMapper } from "./create";
import type { MapperDeps, Meant } from "./deps";
import type { MapperDescription } from "./describe";
import { findDevice, sequenceOf } from "./device";
import { loadMapper } from "./load";
import { messageMapper } from "./message";
import { kernelNode } from "./nodes";
import { removeLeftovers } from "./provisional";
import { removeMapper } from "./remove";
import { renameMapper } from "./rename";
import { resumeMapper } from "./resume";
import { mapperStatus } from "./status";
import { suspendMapper } from "./suspend";
import { listTargets } from "./targets";
import { waitForMapper } from "./wait";

type MapperMethod = Extract<Method, `mapper/${string}`>;
type MapperHandlers = { [M in MapperMethod]: (params: CheckedParams<M>, work: Work) => Promise<Result<M>> };

type Log = NonNullable<MapperDeps["log"]>;

/** @param complete adds to a description what is on the device and where it is mounted */
export function mapperHandlers(
  caller: Caller,
  complete: (description: MapperDescription) => Promise<MapperDevice>,
  log: Log,
): MapperHandlers {
  /** With the control device open for as long as it takes. */
  async function withDeps<T>({ signal }: Work, body: (deps: MapperDeps) => Promise<T>): Promise<T> {
    using control = openControl();
    return await body({ control, signal, log, permit: (devices, readOnly) => permit(caller, devices, readOnly) });
  }

  /** The request once the device is known to be the caller's: it is for this attachment of the device and no later one. */
  function owned<P extends Meant & { confirmForeign: boolean }>(params: P, control: DmControl): P {
    const found = attachment(findDevice(control, params.device).devnum);
    checkOwner(found, caller, params.confirmForeign, params.device);
    return { ...params, diskSequence: params.diskSequence ?? found.diskSequence };
  }

  /** For requests that change a device which must be the caller's. */
  function changing<P extends Meant>(
    change: (params: P, deps: MapperDeps) => Promise<MapperDescription>,
  ): (params: P & { confirmForeign: boolean }, work: Work) => Promise<{ device: MapperDevice }> {
    return (params, work) =>
      withDeps(work, async (deps) => {
        return { device: await complete(await change(owned(params, deps.control), deps)) };
      });
  }

  return {
    "mapper/create": (params, work) =>
      withDeps(work, async (deps) => {
        await removeLeftovers(deps);
        const description = await createMapper(params, deps);
        recordOwner(attachment(description.devnum as Devnum), caller);
        return { device: await complete(description) };
      }),
    "mapper/load": changing(loadMapper),
    "mapper/clear": changing(clearMapper),
    "mapper/suspend": changing(suspendMapper),
    "mapper/resume": changing(resumeMapper),
    "mapper/rename": changing(renameMapper),
    "mapper/remove": (params, work) =>
      withDeps(work, async (deps) => {
        const found = attachment(findDevice(deps.control, params.device).devnum);
        const diskOf = (device: Devnum) => nameOf(device) ?? "";
        const outcome = await removeMapper(owned(params, deps.control), {
          ...deps,
          usersOf: (device) => usersOf(diskOf(device)),
          unmountAll: (device) => unmountAll(diskOf(device), work),
        });
        if (outcome.state === "removed") {
          forgetOwnerOf(found);
        }
        return outcome;
      }),
    "mapper/status": (params, work) => withDeps(work, (deps) => mapperStatus(params, deps)),
    "mapper/wait": (params, work) => withDeps(work, (deps) => waitForMapper(params, deps)),
    "mapper/message": (params, work) =>
      withDeps(work, async (deps) => {
        return await messageMapper(owned(params, deps.control), deps);
      }),
    "mapper/targets": (_, work) => withDeps(work, async (deps) => ({ targets: listTargets(deps) })),
  };
}

// By the kernel's own node, as a name can be changed.
function attachment(devnum: Devnum): Attachment {
  return { device: kernelNode(devnum), diskSequence: sequenceOf(devnum), backingInode: 0, backingDevnum: devnum };
}

/**
 * Whoever stands on a device reads and writes it: that takes the caller's own rights to it, or that the device is the
 * caller's because we made it for them.
 */
function permit(caller: Caller, devices: readonly Devnum[], readOnly: boolean): void {
  for (const device of devices) {
    const name = nameOf(device);
    if (name === undefined) {
      throw new Problem("notFound", `The table names the device ${device}, which has gone.`);
    }
    if (caller.uid !== 0 && !isOwn(caller, device, name)) {
      using _opened = openImage(caller, nodeOf(name), readOnly).file;
    }
  }
}

// A partition belongs to whom its disk belongs to.
function isOwn(caller: Caller, device: Devnum, name: string): boolean {
  const disk = /^(loop\d+)p\d+$/.exec(name)?.[1] ?? name;
  const sequence = readNumber(`${diskFolder(disk)}/diskseq`) ?? null;
  return (
    sequence !== null &&
    ownerOf({ ...attachment(device), device: `/dev/${disk}`, diskSequence: sequence }) === caller.uid
  );
}
