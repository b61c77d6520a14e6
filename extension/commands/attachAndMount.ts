/* Attach and Mount: from an image to its files in one step, or to nothing changed and the reason why. */
import { basename } from "node:path";
import * as vscode from "vscode";
import type { LoopDevice, Mount } from "../../helper/protocol";
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
  const images = await chooseImages("Attach and Mount", clicked, selected);
  const [image, ...others] = images;
  if (image && others.length === 0) {
    await mountOne(context, image);
  } else if (image) {
    await mountSeveral(context, images);
  }
}

async function mountOne(context: CommandContext, image: vscode.Uri): Promise<void> {
  const name = basename(image.fsPath);
  const attachOnly = { title: "Attach Only", run: () => attachImages(context, [image]) };
  try {
    const { device, mounted } = await performAll(context, `Attaching ${name}`, (errand) =>
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
  all: (count, list) => `${count} images are mounted: ${list}.`,
  some: (done, count, list) => `${done} of ${count} images are mounted: ${list}.`,
  none: (count) => `None of ${count} images is mounted.`,
};

async function mountSeveral(context: CommandContext, images: readonly vscode.Uri[]): Promise<void> {
  const mounts: Mount[] = [];
  const title = `Attaching and mounting ${images.length} images`;
  const outcome = await forEachImage(context, title, images, async (image, errand) => {
    const { mounted } = await attachAndMountImage(context, image, errand);
    mounts.push(...mounted.mounts);
    const places = mounted.mounts.map(({ target }) => target).join(" and ");
    const failed = mounted.failures.map(({ error }) => messageOf(error));
    return [`${basename(image.fsPath)} at ${places}`, ...failed].join("; ");
  });
  tellOutcome(context, sums, outcome, [{ title: "Open Folder", run: () => openFolder(mounts) }]);
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
    throw new Failure("invalid", `${name} is a block device already: mount it as you mount your other disks.`);
  }
  const mountables = mountablesOf(device);
  const mounted = await mountAll(errand, mountables);
  if (mounted.mounts.length > 0 && !errand.isCancelled) {
    return { device, mounted };
  }
  // Who asked for both isn't served with a half. Not as a part of the errand, which may be cancelled.
  const whenBusy = mounted.mounts.length > 0 ? "unmount" : "lazy";
  await perform(context, `Detaching ${name}`, "loop/detach", { ...naming(device), whenBusy });
  const [failure] = mounted.failures;
  if (failure) {
    throw new NotMounted(failure.error);
  }
  if (errand.isCancelled || mountables.length > 0) {
    throw new Failure("cancelled", `Mounting ${name} was cancelled.`);
  }
  throw new NothingToMount("invalid", `There is nothing to mount on ${name}: ${inPlaceOfFiles(device)}.`);
}
