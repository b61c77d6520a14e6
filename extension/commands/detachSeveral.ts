/* Detaching several devices at once: those that are selected in the tree, or all that one has attached. */
import { basename } from "node:path";
import * as vscode from "vscode";
import type { LoopDevice, Params } from "../../helper/protocol";
import { labelOf } from "../devices/items";
import { isMine } from "../devices/mine";
import { Failure } from "../helper/failure";
import { isKeptByMounts } from "./busy";
import type { CommandContext } from "./context";
import { confirmingForeignOfSeveral } from "./foreign";
import { naming } from "./pick";
import type { NextStep } from "./run";
import { forEachOf, type Outcome, ofLoops, type Sums, tellOutcome } from "./several";

/** So many are named in the question. */
const MOST_NAMED = 10;

export type WhenBusy = Exclude<Params<"loop/detach">["whenBusy"], undefined>;

const sums: Sums = {
  all: (count, list) =>
    count === 1 ? vscode.l10n.t("Detached: {0}.", list) : vscode.l10n.t("{0} devices are detached: {1}.", count, list),
  some: (done, count, list) => vscode.l10n.t("{0} of {1} devices are detached: {2}.", done, count, list),
  none: (count) => vscode.l10n.t("None of the {0} devices is detached.", count),
};

export async function detachSeveral(
  context: CommandContext,
  devices: readonly LoopDevice[],
  whenBusy: WhenBusy,
): Promise<void> {
  const outcome = await detachEach(context, devices, whenBusy);
  const again = (foreign: LoopDevice[]) => detachEach(context, foreign, whenBusy, { confirmForeign: true });
  tell(context, await confirmingForeignOfSeveral("detach", outcome, again));
}

/** Detach All of Mine: what this user has attached through us, with all that is mounted of it. Nobody else's is touched. */
export async function detachMine(context: CommandContext): Promise<void> {
  await context.model.refresh();
  const devices = context.model.devices.filter(isMine);
  if (devices.length === 0) {
    void vscode.window.showInformationMessage(vscode.l10n.t("You have attached no disk image."));
    return;
  }
  const isMounted = devices.some((device) => targetsOf(device).length > 0);
  const question =
    devices.length === 1
      ? vscode.l10n.t("Detach the only image that you have attached?")
      : vscode.l10n.t("Detach the {0} images that you have attached?", devices.length);
  const button = isMounted ? vscode.l10n.t("Unmount and Detach") : vscode.l10n.t("Detach");
  const detail = [...devices.slice(0, MOST_NAMED).map(inWords), ...andMore(devices.length)].join("\n");
  if ((await vscode.window.showWarningMessage(question, { modal: true, detail }, button)) === button) {
    tell(context, await detachEach(context, devices, "unmount"));
  }
}

function inWords(device: LoopDevice): string {
  const targets = targetsOf(device);
  const name = `${labelOf(device)}: ${device.backingFile}`;
  return targets.length > 0 ? vscode.l10n.t("{0} (mounted at {1})", name, targets.join(", ")) : name;
}

function targetsOf(device: LoopDevice): string[] {
  return [device, ...device.partitions].flatMap(({ mounts }) => mounts.map(({ target }) => target));
}

function andMore(count: number): string[] {
  return count > MOST_NAMED ? [vscode.l10n.t("And {0} more.", count - MOST_NAMED)] : [];
}

function detachEach(
  context: CommandContext,
  devices: readonly LoopDevice[],
  whenBusy: WhenBusy,
  confirmed: { confirmForeign?: true } = {},
): Promise<Outcome<LoopDevice>> {
  const title = vscode.l10n.t("Detaching devices");
  // The last attached first, as its image may be a file that is mounted of one before.
  const inTurn = [...devices].sort((one, other) => (other.diskSequence ?? 0) - (one.diskSequence ?? 0));
  return forEachOf(context, title, inTurn, ofLoops, async (device, { ask }) => {
    const { state } = await ask("loop/detach", { ...naming(device), whenBusy, ...confirmed });
    const name = `${labelOf(device)} (${basename(device.backingFile)})`;
    return state === "pending" ? vscode.l10n.t("{0} as soon as nobody uses it any more", name) : name;
  });
}

function tell(context: CommandContext, outcome: Outcome<LoopDevice>): void {
  tellOutcome(context, sums, outcome, { failed: waysFor(context, outcome) });
}

/** For those that are in use: as for a single one. */
function waysFor(context: CommandContext, { failures }: Outcome<LoopDevice>): NextStep[] {
  const busy = failures.filter(({ error }) => error instanceof Failure && error.reason === "busy");
  const mounted = busy.filter(({ error }) => error instanceof Failure && isKeptByMounts(error.data.users ?? []));
  const way = (title: string, of: typeof busy, whenBusy: WhenBusy): NextStep[] =>
    of.length > 0 ? [{ title, run: () => detachSeveral(context, devicesOf(of), whenBusy) }] : [];
  return [
    ...way(vscode.l10n.t("Unmount and Detach"), mounted, "unmount"),
    ...way(vscode.l10n.t("Detach When Free"), busy, "lazy"),
  ];
}

const devicesOf = (failures: Outcome<LoopDevice>["failures"]) => failures.map(({ one }) => one);
