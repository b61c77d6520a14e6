/*
 * What tasks do. Each leaves things as its name says, also where they are so already: what is attached or mounted is used
 * as it is, and where nothing is attached there is nothing to undo. So they can be run before and after every debugging.
 */
import { realpathSync } from "node:fs";
import { basename } from "node:path";
import { l10n } from "vscode";
import type { LoopDevice, Method, Params, Partition, Result } from "../../helper/protocol";
import { confirmingForeign } from "../commands/foreign";
import { inPlaceOfFiles, type Mountable } from "../commands/mounting";
import { naming } from "../commands/pick";
import { formatSize, listed } from "../devices/format";
import { contentLabel, mountablesOf } from "../devices/items";
import { Failure } from "../helper/failure";
import type { TaskWish } from "./definition";

/** What a task works with. */
export interface TaskRun {
  /** @throws Failure, reason "cancelled" where the task is terminated */
  request<M extends Method>(method: M, params: Params<M>): Promise<Result<M>>;
  /** Takes something back, also when the task is terminated. @throws Failure */
  undo<M extends Method>(method: M, params: Params<M>): Promise<Result<M>>;
  /** Writes a line to the task's terminal. */
  say(line: string): void;
}

/** @throws Failure where things can't be made so */
export async function runAction(run: TaskRun, wish: TaskWish): Promise<void> {
  switch (wish.action) {
    case "attach":
      await attach(run, wish);
      return;
    case "mount":
      return mount(run, wish);
    case "unmount":
      return unmount(run, wish.image);
    case "detach":
      return detach(run, wish.image);
  }
}

type MountWish = Extract<TaskWish, { action: "mount" }>;

async function attach(
  { request, say }: TaskRun,
  { image, readOnly }: Pick<MountWish, "image" | "readOnly">,
): Promise<{ device: LoopDevice; shared: boolean }> {
  const { device, shared, unreachableTail } = await request("loop/attach", { path: image, readOnly, overlap: "share" });
  if (device.number < 0) {
    throw new Failure("invalid", l10n.t("{0} is a block device already: use it as it is.", image));
  }
  const node = device.readOnly ? l10n.t("{0} (read-only)", device.device) : device.device;
  say(
    shared
      ? l10n.t("{0} is already attached as {1}.", basename(image), node)
      : l10n.t("{0} is attached as {1}.", basename(image), node),
  );
  if (unreachableTail > 0) {
    say(l10n.t("Its last {0} bytes fill no sector and can't be reached.", unreachableTail));
  }
  for (const { device: node, name, content, size } of device.partitions) {
    say(`  ${[node, name, contentLabel(content), formatSize(size)].filter(Boolean).join(" · ")}`);
  }
  return { device, shared };
}

/** Attaches if need be, and mounts. Where that fails, or is cancelled, what it has attached is detached again. */
async function mount(run: TaskRun, wish: MountWish): Promise<void> {
  const { device, shared } = await attach(run, wish);
  try {
    await mountAttached(run, wish, device);
  } catch (error) {
    if (!shared) {
      await run.undo("loop/detach", { ...naming(device), whenBusy: "unmount" });
      run.say(l10n.t("{0} is detached again.", device.device));
    }
    throw error;
  }
}

async function mountAttached(run: TaskRun, { image, partition, target }: MountWish, device: LoopDevice): Promise<void> {
  const place = partition === undefined ? device : { ...partitionOf(device, partition), partitions: [] };
  const mountables = mountablesOf(device).filter((found) => partition === undefined || found.device === place.device);
  const mounted = targetsOf(place);
  if (mounted.length > 0 && (target !== undefined || mountables.length === 0)) {
    if (target !== undefined && !mounted.includes(target)) {
      throw new Failure(
        "busy",
        l10n.t("{0} is mounted at {1} already. Unmount it first.", basename(image), listed(mounted)),
      );
    }
    run.say(l10n.t("{0} is already mounted at {1}.", basename(image), listed(mounted)));
    return;
  }
  if (mountables.length === 0) {
    throw new Failure(
      "invalid",
      l10n.t("There is nothing to mount on {0}: {1}.", basename(image), inPlaceOfFiles(place)),
    );
  }
  if (target !== undefined && mountables.length > 1) {
    throw new Failure(
      "invalid",
      l10n.t("{0} has several partitions. Say which one is to be at {1}.", basename(image), target),
    );
  }
  await mountEach(run, mountables, target);
}

function partitionOf({ backingFile, partitions }: LoopDevice, wanted: number): Partition {
  const found = partitions.find(({ number }) => number === wanted);
  if (!found) {
    throw new Failure("notFound", l10n.t("{0} has no partition {1}.", basename(backingFile), wanted));
  }
  return found;
}

/** As the command does it: one that can't be mounted doesn't keep the others. */
async function mountEach(run: TaskRun, mountables: readonly Mountable[], target: string | undefined): Promise<void> {
  const failures: unknown[] = [];
  for (const mountable of mountables) {
    try {
      await mountOne(run, mountable, target);
    } catch (error) {
      if (error instanceof Failure && error.reason === "cancelled") {
        throw error;
      }
      failures.push(error);
    }
  }
  if (failures.length === mountables.length) {
    throw failures[0];
  }
  for (const failure of failures) {
    run.say(failure instanceof Error ? failure.message : String(failure));
  }
}

async function mountOne({ request, say }: TaskRun, mountable: Mountable, target: string | undefined): Promise<void> {
  const answer = await confirmingForeign("mount", mountable.device, (confirmed) =>
    request("mount/mount", { ...mountable, target, ...confirmed }),
  );
  if (!answer) {
    throw new Failure("cancelled", l10n.t("{0} was not mounted.", mountable.device));
  }
  const { mount, journalSkipped } = answer;
  const place = mount.readOnly ? l10n.t("{0} (read-only)", mount.target) : mount.target;
  say(l10n.t("{0} is mounted at {1}.", mountable.device, place));
  if (journalSkipped) {
    say(l10n.t("Its journal can't be written back to a read-only device: its last changes are missing."));
  }
}

async function unmount(run: TaskRun, image: string): Promise<void> {
  const mounted = (await devicesOf(run, image)).filter((device) => targetsOf(device).length > 0);
  if (mounted.length === 0) {
    run.say(l10n.t("Nothing of {0} is mounted.", basename(image)));
  }
  for (const device of mounted) {
    const targets = listed(targetsOf(device));
    const done = await confirmingForeign("unmount", targets, (confirmed) =>
      run.request("mount/unmount", { ...naming(device), ...confirmed }),
    );
    if (!done) {
      throw new Failure("cancelled", l10n.t("{0} was not unmounted.", targets));
    }
    run.say(l10n.t("{0} unmounted.", targets));
  }
}

/** Unmounts what is mounted, too. */
async function detach(run: TaskRun, image: string): Promise<void> {
  const devices = await devicesOf(run, image);
  if (devices.length === 0) {
    run.say(l10n.t("{0} is not attached.", basename(image)));
  }
  for (const device of devices) {
    const done = await confirmingForeign("detach", l10n.t("Image: {0}", image), (confirmed) =>
      run.request("loop/detach", { ...naming(device), whenBusy: "unmount", ...confirmed }),
    );
    if (!done) {
      throw new Failure("cancelled", l10n.t("{0} was not detached.", device.device));
    }
    run.say(l10n.t("{0} is detached from {1}.", basename(image), device.device));
  }
}

/** All that are attached of an image, also of one that has been deleted or replaced since. */
async function devicesOf({ request }: TaskRun, image: string): Promise<LoopDevice[]> {
  const path = realPathOf(image);
  const { devices } = await request("devices/list", {});
  return devices.filter((device): device is LoopDevice => device.kind === "loop" && device.backingFile === path);
}

// As the kernel tells it.
function realPathOf(image: string): string {
  try {
    return realpathSync(image);
  } catch {
    return image;
  }
}

function targetsOf({ mounts, partitions }: Pick<LoopDevice, "mounts" | "partitions">): string[] {
  return [...mounts, ...partitions.flatMap((partition) => partition.mounts)].map(({ target }) => target);
}
