/* Attach and Mount: from an image to its files in one step, or to nothing changed and the reason why. */
import { basename } from "node:path";
import * as vscode from "vscode";
import type { LoopDevice, Mount } from "../../helper/protocol";
import { listed } from "../devices/format";
import { mountablesOf } from "../devices/items";
import { Failure } from "../helper/failure";
import { attachImages, chooseImages, requestAttach, wayToOther } from "./attach";
import type { CommandContext } from "./context";
import { inPlaceOfFiles, type Mounted, messageOf, mountAll, tellMounted } from "./mounting";
import { openFolder } from "./openMounted";
import { naming } from "./pick";
import { type Errand, offer, perform, performAll, showFailure } from "./run";
import { forEachImage, type Sums, tellOutcome } from "./several";

/** There is no file system on it. */
class NothingToMount extends Failure {}

export async function attachAndMount(context: CommandContext, clicked?: unknown, selected?: unknown): Promise<void> {
  const images = await chooseImages(vscode.l10n.t("Attach and Mount"), clicked, selected);
  const [image, ...others] = images;
  if (image && others.length === 0) {
    await mountOne(context, image);
  } else if (image) {
    await mountSeveral(context, images);
  }
}

async function mountOne(context: CommandContext, image: vscode.Uri): Promise<void> {
  const name = basename(image.fsPath);
  const attachOnly = { title: vscode.l10n.t("Attach Only"), run: () => attachImages(context, [image]) };
  try {
    const { device, mounted } = await performAll(context, vscode.l10n.t("Attaching {0}", name), (errand) =>
      attachAndMountImage(context, image, errand),
    );
    tellMounted(context, name, device.device, mounted);
  } catch (error) {
    if (error instanceof NothingToMount) {
      offer(vscode.window.showWarningMessage(error.message, attachOnly.title), [attachOnly]);
    } else {
      const isAttachable = error instanceof NotMounted;
      showFailure(context, isAttachable ? error.why : error, isAttachable ? [attachOnly] : wayToOther(context, error));
    }
  }
}

const sums: Sums = {
  all: (count, list) => vscode.l10n.t("{0} images are mounted: {1}.", count, list),
  some: (done, count, list) => vscode.l10n.t("{0} of {1} images are mounted: {2}.", done, count, list),
  none: (count) => vscode.l10n.t("None of the {0} images is mounted.", count),
};

async function mountSeveral(context: CommandContext, images: readonly vscode.Uri[]): Promise<void> {
  const mounts: Mount[] = [];
  const title = vscode.l10n.t("Attaching and mounting images");
  const outcome = await forEachImage(context, title, images, async (image, errand) => {
    const { mounted } = await attachAndMountImage(context, image, errand);
    mounts.push(...mounted.mounts);
    const places = listed(mounted.mounts.map(({ target }) => target));
    const failed = mounted.failures.map(({ error }) => messageOf(error));
    return [vscode.l10n.t("{0} at {1}", basename(image.fsPath), places), ...failed].join("; ");
  });
  const open = { title: vscode.l10n.t("Open Folder"), run: () => openFolder(mounts) };
  tellOutcome(context, sums, outcome, { done: [open] });
}

/** Something is on it that can't be mounted. */
class NotMounted extends Failure {
  constructor(readonly why: unknown) {
    super(why instanceof Failure ? why.reason : "kernel", messageOf(why));
  }
}

/** @throws Failure, NothingToMount; nothing is attached then */
async function attachAndMountImage(
  context: CommandContext,
  image: vscode.Uri,
  errand: Errand,
): Promise<{ device: LoopDevice; mounted: Mounted }> {
  const name = basename(image.fsPath);
  const { device, shared } = await requestAttach(errand, image);
  if (shared) {
    throw new Failure(
      "invalid",
      vscode.l10n.t("{0} is a block device already: mount it as you mount your other disks.", name),
    );
  }
  const mountables = mountablesOf(device);
  const mounted = await mountAll(errand, mountables);
  if (mounted.mounts.length > 0 && !errand.isCancelled) {
    return { device, mounted };
  }
  // Who asked for both isn't served with a half. Not as a part of the errand, which may be cancelled.
  const whenBusy = mounted.mounts.length > 0 ? "unmount" : "lazy";
  await perform(context, vscode.l10n.t("Detaching {0}", name), "loop/detach", { ...naming(device), whenBusy });
  const [failure] = mounted.failures;
  if (failure) {
    throw new NotMounted(failure.error);
  }
  if (errand.isCancelled || mountables.length > 0) {
    throw new Failure("cancelled", vscode.l10n.t("Mounting {0} was cancelled.", name));
  }
  throw new NothingToMount(
    "invalid",
    vscode.l10n.t("There is nothing to mount on {0}: {1}.", name, inPlaceOfFiles(device)),
  );
}
