/*
 * Attach with Options…: how an image is attached, asked step by step. What was answered last is what Enter takes the
 * next time in this workspace. Where nothing is remembered, Enter all through attaches as Attach as Loop Device does.
 */
import { basename } from "node:path";
import * as v from "valibot";
import * as vscode from "vscode";
import type { Partition, Result } from "../../helper/protocol";
import { formatSize } from "../devices/format";
import { contentLabel } from "../devices/items";
import { offsetObjection, parseSize, sizeObjection } from "../devices/size";
import { Failure } from "../helper/failure";
import { ask, pickOne, pickSeveral, type Step, typeText } from "../quickInput/steps";
import { type AttachOptions, attachImages, chooseImages } from "./attach";
import type { CommandContext } from "./context";
import { perform, showFailure } from "./run";

const MEMORY = "diskloom.attachOptions";

/** What was answered, as it is remembered. */
const Answers = v.object({
  access: v.picklist(["write", "read", "memory"]),
  part: v.union([v.literal("whole"), v.literal("custom"), v.pipe(v.number(), v.integer())]),
  offset: v.string(),
  size: v.string(),
  partitionScan: v.boolean(),
  directIo: v.boolean(),
  share: v.boolean(),
  sectorSize: v.union([v.literal("probe"), v.picklist([512, 1024, 2048, 4096])]),
});
type Answers = v.InferOutput<typeof Answers>;

const USUAL: Answers = {
  access: "write",
  part: "whole",
  offset: "0",
  size: "",
  partitionScan: true,
  directIo: true,
  share: false,
  sectorSize: "probe",
};

type Image = Result<"image/inspect">;

export async function attachWithOptions(context: CommandContext, clicked?: unknown, selected?: unknown): Promise<void> {
  const images = await chooseImages(vscode.l10n.t("Attach with Options"), clicked, selected);
  const [first, ...others] = images;
  if (!first) {
    return;
  }
  try {
    // Several images have no partition in common that one could pick.
    const image = others.length === 0 ? await inspect(context, first) : undefined;
    const title =
      others.length === 0
        ? vscode.l10n.t("Attach {0} with Options", basename(first.fsPath))
        : vscode.l10n.t("Attach {0} Images with Options", images.length);
    const answers = remembered(context.memory);
    if (await ask(title, () => stepsFor(answers, image))) {
      await context.memory.update(MEMORY, answers);
      await attachImages(context, images, optionsFrom(answers, image));
    }
  } catch (error) {
    showFailure(context, error);
  }
}

function remembered(memory: vscode.Memento): Answers {
  const found = v.safeParse(Answers, memory.get(MEMORY));
  return { ...(found.success ? found.output : USUAL) };
}

async function inspect(context: CommandContext, { scheme, fsPath }: vscode.Uri): Promise<Image | undefined> {
  if (scheme !== "file") {
    throw new Failure(
      "invalid",
      vscode.l10n.t("{0} is not a file on this machine, so it can't be attached.", basename(fsPath)),
    );
  }
  try {
    return await perform(context, vscode.l10n.t("Looking into {0}", basename(fsPath)), "image/inspect", {
      path: fsPath,
    });
  } catch (error) {
    // A machine without libblkid attaches images all the same.
    if (error instanceof Failure && error.reason === "unsupported") {
      return undefined;
    }
    throw error;
  }
}

function stepsFor(answers: Answers, image: Image | undefined): Step[] {
  const custom = partOf(answers, image) === "custom";
  return [
    accessStep(answers),
    partStep(answers, image),
    ...(custom ? [offsetStep(answers, image), sizeStep(answers, image)] : []),
    optionsStep(answers),
    sectorSizeStep(answers),
  ];
}

function accessStep(answers: Answers): Step {
  const items = [
    {
      label: vscode.l10n.t("$(edit) Read and Write"),
      detail: vscode.l10n.t("Changes go to the image. Read-only where you may not write to it."),
      value: "write" as const,
    },
    {
      label: vscode.l10n.t("$(lock) Read-Only"),
      detail: vscode.l10n.t("Nothing can change the image."),
      value: "read" as const,
    },
    {
      label: vscode.l10n.t("$(chip) Copy in Memory"),
      detail: vscode.l10n.t("The image stays as it is. Changes last until the device is detached."),
      value: "memory" as const,
    },
  ];
  const active = items.find(({ value }) => value === answers.access);
  return pickOne(vscode.l10n.t("How is it accessed?"), items, active, ({ value }) => {
    answers.access = value;
  });
}

function partStep(answers: Answers, image: Image | undefined): Step {
  const items: (vscode.QuickPickItem & { value: Answers["part"] })[] = [
    { label: vscode.l10n.t("$(database) Whole Image"), description: image ? inWords(image) : "", value: "whole" },
    ...(image?.partitions ?? []).map((partition) => ({
      label: vscode.l10n.t("$(symbol-field) Partition {0}", partition.number),
      description: [partition.name, inWords(partition)].filter(Boolean).join(" · "),
      value: partition.number,
    })),
    {
      label: vscode.l10n.t("$(edit) Offset and Size..."),
      description: vscode.l10n.t("typed, in bytes, KiB, MiB, GiB or sectors"),
      value: "custom",
    },
  ];
  const active = items.find(({ value }) => value === partOf(answers, image));
  return pickOne(vscode.l10n.t("What part of it?"), items, active, ({ value }) => {
    answers.part = value;
  });
}

function inWords({ size, content }: Pick<Partition, "size" | "content">): string {
  return [contentLabel(content), formatSize(size)].filter(Boolean).join(" · ");
}

/** What was remembered may be a partition that this image has not. */
function partOf({ part }: Answers, image: Image | undefined): Answers["part"] {
  return typeof part === "string" || image?.partitions.some(({ number }) => number === part) ? part : "whole";
}

function offsetStep(answers: Answers, image: Image | undefined): Step {
  return typeText(
    vscode.l10n.t("Where does it begin? For example 1MiB, 2048s (sectors of 512 bytes) or 1048576 (bytes)."),
    answers.offset,
    (text) => offsetObjection(text, image?.size),
    (text) => {
      answers.offset = text;
    },
  );
}

function sizeStep(answers: Answers, image: Image | undefined): Step {
  const offset = parseSize(answers.offset) ?? 0;
  return typeText(
    vscode.l10n.t(
      "How large is it? For example 64MiB or 131072s (sectors of 512 bytes). Leave it empty for all up to the image's end.",
    ),
    answers.size,
    (text) => sizeObjection(text, image && image.size - offset),
    (text) => {
      answers.size = text;
    },
  );
}

function optionsStep(answers: Answers): Step {
  const items = [
    {
      label: vscode.l10n.t("Partition Scan"),
      detail: vscode.l10n.t("Partitions of the image become devices, too."),
      value: "partitionScan" as const,
    },
    ...(answers.access === "memory"
      ? []
      : [
          {
            label: vscode.l10n.t("Direct I/O"),
            detail: vscode.l10n.t("Nothing is cached in memory twice, where the image's file system allows that."),
            value: "directIo" as const,
          },
        ]),
    {
      label: vscode.l10n.t("Share"),
      detail: vscode.l10n.t("A device that has just this part of the image already is used."),
      value: "share" as const,
    },
  ];
  const selected = items.filter(({ value }) => answers[value]);
  return pickSeveral(vscode.l10n.t("What else? Space changes an option, Enter goes on."), items, selected, (chosen) => {
    for (const { value } of items) {
      answers[value] = chosen.some((item) => item.value === value);
    }
  });
}

function sectorSizeStep(answers: Answers): Step {
  const items: (vscode.QuickPickItem & { value: Answers["sectorSize"] })[] = [
    {
      label: vscode.l10n.t("Automatic"),
      description: vscode.l10n.t("512 bytes, or what the image's partition table was made for"),
      value: "probe",
    },
    { label: vscode.l10n.t("512 bytes"), value: 512 },
    { label: vscode.l10n.t("1024 bytes"), value: 1024 },
    { label: vscode.l10n.t("2048 bytes"), description: vscode.l10n.t("as on CDs and DVDs"), value: 2048 },
    { label: vscode.l10n.t("4096 bytes"), description: vscode.l10n.t("as on large disks"), value: 4096 },
  ];
  const active = items.find(({ value }) => value === answers.sectorSize);
  return pickOne(vscode.l10n.t("How large are its sectors?"), items, active, ({ value }) => {
    answers.sectorSize = value;
  });
}

function optionsFrom(answers: Answers, image: Image | undefined): AttachOptions {
  const { access, partitionScan, directIo, share, sectorSize } = answers;
  return {
    ...extentOf(answers, image),
    ...(access === "read" && { readOnly: true }),
    ...(access === "memory" && { inMemory: true }),
    partitionScan,
    ...(!directIo && { directIo: false }),
    ...(share && { overlap: "share" }),
    sectorSize,
  };
}

function extentOf(answers: Answers, image: Image | undefined): Pick<AttachOptions, "offset" | "sizeLimit"> {
  const part = partOf(answers, image);
  if (part === "custom") {
    return { offset: parseSize(answers.offset) ?? 0, sizeLimit: parseSize(answers.size) ?? 0 };
  }
  const partition = image?.partitions.find(({ number }) => number === part);
  return partition ? { offset: partition.start, sizeLimit: partition.size } : {};
}
