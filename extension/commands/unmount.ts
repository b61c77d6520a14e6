/* Unmount: one mount, or all of a device or partition, or of several. */
import * as vscode from "vscode";
import type { Mount, Params } from "../../helper/protocol";
import { DeviceItem, PartitionItem } from "../devices/items";
import { Failure } from "../helper/failure";
import { showBusy } from "./busy";
import type { CommandContext } from "./context";
import { confirmingForeign, confirmingForeignOfSeveral } from "./foreign";
import { pickMounts } from "./mounting";
import { perform, showFailure } from "./run";
import { forEachOf, type Names, type Outcome, type Sums, tellOutcome } from "./several";

type Which = Pick<Params<"mount/unmount">, "device" | "diskSequence" | "target">;

export async function unmount(context: CommandContext, item?: unknown, selected?: unknown): Promise<void> {
  if (Array.isArray(selected) && selected.length > 1) {
    const mounts = await pickMounts(context, vscode.l10n.t("Unmount"), item, selected);
    await unmountSeveral(context, mounts ?? [], false);
    return;
  }
  const which = await choose(context, item);
  if (which) {
    await unmountThis(context, which, false);
  }
}

async function choose(context: CommandContext, item: unknown): Promise<Which | undefined> {
  if (item instanceof DeviceItem) {
    return { device: item.device.device, diskSequence: item.device.diskSequence };
  }
  if (item instanceof PartitionItem) {
    return { device: item.partition.device, diskSequence: item.disk?.diskSequence ?? null };
  }
  const [picked] = (await pickMounts(context, vscode.l10n.t("Unmount"), item)) ?? [];
  return picked && { target: picked.target };
}

async function unmountThis(context: CommandContext, which: Which, lazy: boolean): Promise<void> {
  const name = which.target ?? which.device ?? "";
  try {
    const done = await confirmingForeign("unmount", name, (confirmed) =>
      perform(context, vscode.l10n.t("Unmounting {0}", name), "mount/unmount", { ...which, lazy, ...confirmed }),
    );
    if (done) {
      vscode.window.setStatusBarMessage(vscode.l10n.t("$(check) {0} unmounted", name), 5000);
    }
  } catch (error) {
    if (lazy) {
      showFailure(context, error);
    } else {
      const later = { title: vscode.l10n.t("Unmount When Free"), run: () => unmountThis(context, which, true) };
      showBusy(context, name, error, { later });
    }
  }
}

/** What the helper says of a mount names it. */
const ofMounts: Names<Mount> = { nameOf: ({ target }) => target, sayFailed: (_, message) => message };

const sums: Sums = {
  all: (count, list) =>
    count === 1 ? vscode.l10n.t("Unmounted: {0}.", list) : vscode.l10n.t("{0} are unmounted: {1}.", count, list),
  some: (done, count, list) => vscode.l10n.t("{0} of {1} are unmounted: {2}.", done, count, list),
  none: (count) => vscode.l10n.t("None of the {0} mounts is unmounted.", count),
};

async function unmountSeveral(context: CommandContext, mounts: readonly Mount[], lazy: boolean): Promise<void> {
  // One that is mounted in a folder of another goes first.
  const inTurn = [...mounts].sort((one, other) => other.target.length - one.target.length);
  const each = (some: readonly Mount[], confirmed: { confirmForeign?: true }): Promise<Outcome<Mount>> =>
    forEachOf(context, vscode.l10n.t("Unmounting folders"), some, ofMounts, async (mount, { ask }) => {
      await ask("mount/unmount", { target: mount.target, lazy, ...confirmed });
      return mount.target;
    });
  const again = (foreign: Mount[]) => each(foreign, { confirmForeign: true });
  const outcome = await confirmingForeignOfSeveral("unmount", await each(inTurn, {}), again);
  const busy = outcome.failures.filter(({ error }) => error instanceof Failure && error.reason === "busy");
  const later = {
    title: vscode.l10n.t("Unmount When Free"),
    run: () =>
      unmountSeveral(
        context,
        busy.map(({ one }) => one),
        true,
      ),
  };
  tellOutcome(context, sums, outcome, { failed: busy.length > 0 && !lazy ? [later] : [] });
}
