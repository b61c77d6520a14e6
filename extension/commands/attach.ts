/* Attach as Loop Device: in the explorer's context menu for one or several files, in the palette with a file picker. */
import { basename } from "node:path";
import * as vscode from "vscode";
import type { Params, Result } from "../../helper/protocol";
import { faultsOf } from "../devices/faults";
import { labelOf } from "../devices/items";
import { Failure } from "../helper/failure";
import type { CommandContext } from "./context";
import { type Errand, type NextStep, offer, performAll, showFailure } from "./run";
import { forEachImage, type Sums, tellOutcome } from "./several";

/** How images are to be attached, where not as usual. */
export type AttachOptions = Omit<Params<"loop/attach">, "path" | "device" | "workDoneToken">;

export async function attach(context: CommandContext, clicked?: unknown, selected?: unknown): Promise<void> {
  await attachImages(context, await chooseImages(vscode.l10n.t("Attach as Loop Device"), clicked, selected));
}

const sums: Sums = {
  all: (count, list) => vscode.l10n.t("{0} images are attached: {1}.", count, list),
  some: (done, count, list) => vscode.l10n.t("{0} of {1} images are attached: {2}.", done, count, list),
  none: (count) => vscode.l10n.t("None of the {0} images is attached.", count),
};

/** Attaches images, one after the other, and tells of it. */
export async function attachImages(
  context: CommandContext,
  images: readonly vscode.Uri[],
  options: AttachOptions = {},
): Promise<void> {
  const [image, ...others] = images;
  if (image && others.length === 0) {
    await attachOne(context, image, options);
  } else if (image) {
    const title = vscode.l10n.t("Attaching images");
    const outcome = await forEachImage(context, title, images, async (image, errand) => {
      const { device } = await requestAttach(errand, image, options);
      return vscode.l10n.t("{0} as {1}", basename(image.fsPath), labelOf(device));
    });
    const show = {
      title: vscode.l10n.t("Show Devices"),
      run: () => vscode.commands.executeCommand("diskloom.devices.focus"),
    };
    tellOutcome(context, sums, outcome, { done: [show] });
  }
}

/**
 * The images that a command is for: those it was called on in the explorer, else those that are picked.
 * @param title what is going to be done, as the file picker's title
 */
export async function chooseImages(title: string, clicked?: unknown, selected?: unknown): Promise<vscode.Uri[]> {
  const files = (Array.isArray(selected) ? selected : [clicked]).filter((item) => item instanceof vscode.Uri);
  return files.length > 0 ? files : await pickImages(title);
}

async function pickImages(title: string): Promise<vscode.Uri[]> {
  const picked = await vscode.window.showOpenDialog({
    title,
    openLabel: vscode.l10n.t("Attach"),
    canSelectMany: true,
    filters: {
      [vscode.l10n.t("Disk images")]: ["img", "iso", "raw", "squashfs", "erofs", "ext4", "wic", "bin"],
      [vscode.l10n.t("All files")]: ["*"],
    },
  });
  return picked ?? [];
}

/** @throws Failure */
export async function requestAttach(
  { ask }: Pick<Errand, "ask">,
  image: vscode.Uri,
  options: AttachOptions = {},
): Promise<Result<"loop/attach">> {
  if (image.scheme !== "file") {
    const name = basename(image.fsPath);
    throw new Failure("invalid", vscode.l10n.t("{0} is not a file on this machine, so it can't be attached.", name));
  }
  return ask("loop/attach", { ...options, path: image.fsPath });
}

async function attachOne(context: CommandContext, image: vscode.Uri, options: AttachOptions): Promise<void> {
  const name = basename(image.fsPath);
  try {
    const attached = await performAll(context, vscode.l10n.t("Attaching {0}", name), (errand) =>
      requestAttach(errand, image, options),
    );
    const { device, shared, unreachableTail } = attached;
    const tail =
      unreachableTail > 0
        ? [vscode.l10n.t("Its last {0} bytes fill no sector and can't be reached.", unreachableTail)]
        : [];
    const warnings = [...tail, ...faultsOf(device)];
    const message = [wordsFor(name, device, shared), ...warnings].join(" ");
    const show = { title: vscode.l10n.t("Show Device"), run: () => context.view.reveal(device.device) };
    offer(
      warnings.length > 0
        ? vscode.window.showWarningMessage(message, show.title)
        : vscode.window.showInformationMessage(message, show.title),
      [show],
    );
  } catch (error) {
    showFailure(context, error, wayToOther(context, error));
  }
}

function wordsFor(name: string, device: Result<"loop/attach">["device"], shared: boolean): string {
  if (shared && device.number < 0) {
    return vscode.l10n.t("{0} is a block device already, so it is used as it is.", name);
  }
  if (shared) {
    return vscode.l10n.t("{0} is attached as {1} already, which is shared.", name, labelOf(device));
  }
  return device.readOnly
    ? vscode.l10n.t("{0} is attached as {1} (read-only).", name, labelOf(device))
    : vscode.l10n.t("{0} is attached as {1}.", name, labelOf(device));
}

/** Where an image can't be attached because another device has it: to that one. */
export function wayToOther(context: CommandContext, error: unknown): NextStep[] {
  const other = error instanceof Failure && error.reason === "overlap" ? error.data.device : undefined;
  return other ? [{ title: vscode.l10n.t("Show Device"), run: () => context.view.reveal(other) }] : [];
}
