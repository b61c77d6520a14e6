/* What the commands for mounting have in common: what of a device can be mounted, doing it, and telling of it. */
import { basename } from "node:path";
import * as vscode from "vscode";
import type { Content, Device, Mount, Params } from "../../helper/protocol";
import { listed } from "../devices/format";
import { DeviceItem, labelOf, MountItem, mountablesOf, PartitionItem } from "../devices/items";
import type { CommandContext } from "./context";
import { confirmingForeign } from "./foreign";
import { openFolder } from "./openMounted";
import { type Errand, type NextStep, offer } from "./run";

/** Something with a file system on it, as a request names it. */
export interface Mountable {
  device: string;
  diskSequence: number | null;
}

/** What came of mounting several. */
export interface Mounted {
  mounts: Mount[];
  /** What could not be mounted, with the reason in a sentence. */
  failures: { device: string; error: unknown }[];
  /** Of those that are mounted: whose journal could not be written back, so that what is seen may be out of date. */
  outdated: string[];
}

/** Mounts all of them that can be: one that can't doesn't keep the others. */
export async function mountAll(
  { ask, say }: Pick<Errand, "ask" | "say">,
  mountables: readonly Mountable[],
  options: Pick<Params<"mount/mount">, "idMap"> = {},
): Promise<Mounted> {
  const result: Mounted = { mounts: [], failures: [], outdated: [] };
  for (const { device, diskSequence } of mountables) {
    try {
      const wish = { device, diskSequence, ...options };
      say(vscode.l10n.t("Mounting {0}", basename(device)));
      const answer = await confirmingForeign("mount", device, (confirmed) =>
        ask("mount/mount", { ...wish, ...confirmed }),
      );
      if (answer) {
        result.mounts.push(answer.mount);
        result.outdated.push(...(answer.journalSkipped ? [answer.mount.target] : []));
      }
    } catch (error) {
      result.failures.push({ device, error });
    }
  }
  return result;
}

/** Tells where something is mounted now, what could not be, and offers to go on with it. */
export function tellMounted(
  context: CommandContext,
  subject: string,
  device: string,
  { mounts, failures, outdated }: Mounted,
): void {
  const steps: NextStep[] = [
    { title: vscode.l10n.t("Open Folder"), run: () => openFolder(mounts) },
    { title: vscode.l10n.t("Show Device"), run: () => context.view.reveal(device) },
    ...(failures.length > 0 ? [{ title: vscode.l10n.t("Show Log"), run: () => context.log.show() }] : []),
  ];
  const titles = steps.map(({ title }) => title);
  const places = listed(
    mounts.map(({ target, readOnly }) => (readOnly ? vscode.l10n.t("{0} (read-only)", target) : target)),
  );
  const said = [vscode.l10n.t("{0} is mounted at {1}.", subject, places)];
  if (outdated.length > 0) {
    said.push(
      vscode.l10n.t(
        "The journal of {0} can't be written back to a read-only device: its last changes are missing.",
        listed(outdated),
      ),
    );
  }
  said.push(...failures.map(({ error }) => messageOf(error)));
  for (const { error } of failures) {
    context.log.error(messageOf(error));
  }
  const shown = said.join(" ");
  offer(
    said.length > 1
      ? vscode.window.showWarningMessage(shown, ...titles)
      : vscode.window.showInformationMessage(shown, ...titles),
    steps,
  );
}

/** As a sentence for people. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What is on a device that has nothing to mount, as the end of a sentence. */
export function inPlaceOfFiles({
  content,
  partitions,
  damaged,
  tableSize,
}: Pick<Device, "content" | "partitions" | "damaged" | "tableSize">): string {
  if (damaged === "both") {
    return tableSize === undefined
      ? vscode.l10n.t("its partition table is damaged")
      : vscode.l10n.t("it was cut short");
  }
  if (content.kind === "partitionTable") {
    const inside = [...new Set(partitions.map((partition) => nameOf(partition.content)))].join(", ");
    return partitions.length === 0
      ? vscode.l10n.t("its partition table is empty")
      : vscode.l10n.t("its partitions are: {0}", inside);
  }
  return vscode.l10n.t("it is {0}", nameOf(content));
}

function nameOf({ kind, type }: Content): string {
  switch (kind) {
    case "empty":
      return "empty";
    case "crypto":
      return vscode.l10n.t("encrypted ({0})", type);
    case "raid":
      return vscode.l10n.t("a part of a volume or array ({0})", type);
    case "filesystem":
      return type;
    default:
      return type === "swap" ? vscode.l10n.t("swap space") : type || vscode.l10n.t("of no known kind");
  }
}

/** What can be mounted of the items that a command was called on, else of the device that is picked. */
export async function pickMountables(
  context: CommandContext,
  item: unknown,
  selected?: unknown,
): Promise<Mountable[] | undefined> {
  const found = itemsOf(item, selected).map(mountablesIn);
  if (found.some((mountables) => mountables !== undefined)) {
    // A device may be selected together with its partitions.
    return uniqueBy(found.flat(), ({ device }) => device);
  }
  await context.model.refresh();
  const picked = await pick(
    vscode.l10n.t("Mount"),
    context.model.devices.flatMap((device) =>
      mountablesOf(device).map((mountable) => ({
        label: `$(folder) ${basename(mountable.device)}`,
        description: labelOf(device) === basename(mountable.device) ? "" : labelOf(device),
        value: [mountable],
      })),
    ),
    vscode.l10n.t("There is nothing attached that could be mounted and isn't yet."),
  );
  return picked;
}

function mountablesIn(item: unknown): Mountable[] | undefined {
  if (item instanceof DeviceItem) {
    return mountablesOf(item.device);
  }
  return item instanceof PartitionItem
    ? [{ device: item.partition.device, diskSequence: item.disk?.diskSequence ?? null }]
    : undefined;
}

/** All mounts of the items that a command was called on, else the one that is picked. */
export async function pickMounts(
  context: CommandContext,
  title: string,
  item: unknown,
  selected?: unknown,
): Promise<Mount[] | undefined> {
  const found = itemsOf(item, selected).map(mountsIn);
  if (found.some((mounts) => mounts !== undefined)) {
    // A device may be selected together with what is mounted of it.
    return uniqueBy(found.flat(), ({ target }) => target);
  }
  await context.model.refresh();
  return pick(
    title,
    context.model.devices.flatMap((device) =>
      mountsOf(device).map((mount) => ({
        label: `$(folder-opened) ${mount.target}`,
        description: labelOf(device),
        value: [mount],
      })),
    ),
    vscode.l10n.t("Nothing is mounted of the attached devices."),
  );
}

function mountsIn(item: unknown): Mount[] | undefined {
  if (item instanceof DeviceItem) {
    return mountsOf(item.device);
  }
  if (item instanceof PartitionItem) {
    return item.partition.mounts;
  }
  return item instanceof MountItem ? [item.mount] : undefined;
}

/** Those that are selected, where a command was called on one of several, else that one. */
function itemsOf(item: unknown, selected: unknown): unknown[] {
  return Array.isArray(selected) && selected.length > 1 ? selected : [item];
}

/** The first of each key; what isn't there is left out. */
function uniqueBy<T>(all: readonly (T | undefined)[], keyOf: (one: T) => string): T[] {
  const byKey = new Map<string, T>();
  for (const one of all) {
    if (one !== undefined && !byKey.has(keyOf(one))) {
      byKey.set(keyOf(one), one);
    }
  }
  return [...byKey.values()];
}

/** The mounts of a device and of its partitions. */
function mountsOf(disk: Device): Mount[] {
  return [disk, ...disk.partitions].flatMap(({ mounts }) => mounts);
}

async function pick<T>(
  title: string,
  choices: (vscode.QuickPickItem & { value: T })[],
  none: string,
): Promise<T | undefined> {
  if (choices.length === 0) {
    void vscode.window.showInformationMessage(none);
    return undefined;
  }
  return (await vscode.window.showQuickPick(choices, { title, matchOnDescription: true }))?.value;
}
