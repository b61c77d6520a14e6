/* What a disk map shows of its device or image at the moment. */
import { basename } from "node:path";
import { env, l10n } from "vscode";
import type { Device, LoopDevice, MapperDevice } from "../../helper/protocol";
import { formatSize } from "../devices/format";
import { labelOf, type Use, useOf } from "../devices/items";
import type { DeviceModel } from "../devices/model";
import type { HelperClient } from "../helper/client";
import { Failure } from "../helper/failure";
import { type CommandDeed, type Deeds, deviceTarget } from "./deeds";
import { contentText } from "./families";
import { layoutOfDevice, layoutOfImage } from "./layout";
import type { Notice, Picture, Target } from "./messages";

/** Where pictures come from. */
export interface Studio {
  client: HelperClient;
  model: DeviceModel;
  deeds: Deeds;
}

/** The device that a map is of, as long as it is the same one. */
export function deviceOf(target: Target, devices: readonly Device[]): Device | undefined {
  return target.kind === "device"
    ? devices.find(({ device, diskSequence }) =>
        // A mapper device keeps its number when it is renamed. Numbers begin anew with the machine.
        target.diskSequence === null || !device.startsWith("/dev/mapper/")
          ? device === target.device && diskSequence === target.diskSequence
          : diskSequence === target.diskSequence,
      )
    : undefined;
}

export function nameOf(target: Target): string {
  return basename(target.kind === "device" ? target.device : target.path);
}

export function pictureOf(target: Target, studio: Studio): Promise<Picture> {
  return target.kind === "device" ? pictureOfDevice(target, studio) : pictureOfImage(target.path, studio);
}

async function pictureOfDevice(target: Target & { kind: "device" }, { model, deeds }: Studio): Promise<Picture> {
  const device = deviceOf(target, model.devices);
  if (!device) {
    return goneDevice(target, model);
  }
  const { segments, notices } = layoutOfDevice(device, model.devices, deeds.actionsOf(model.devices));
  const loop = device.kind === "loop" ? device : undefined;
  if (device.content.kind === "partitionTable" && device.partitions.length === 0 && device.damaged !== "both") {
    const [action] = loop ? deeds.offered("rescan") : [];
    const text = l10n.t(
      "The kernel knows of no partitions on it. Those in its table, if there are any, show after a rescan.",
    );
    notices.push({ level: "info", text, ...(action && { action }) });
  }
  if (loop?.backingFileDeleted) {
    const text = l10n.t("The image was deleted or replaced. Its data goes when the device is detached.");
    notices.unshift({ level: "warning", text });
  }
  return {
    title: labelOf(device),
    path: loop?.backingFile ?? "",
    facts: [formatSize(device.size), contentText(device.content), ...factsOf(device)],
    notices,
    actions: loop ? deeds.offered("flush", ...lettingGoOf(loop)) : [],
    segments,
  };
}

/** How it can be let go of: not while others stand on it. */
function lettingGoOf(device: LoopDevice): CommandDeed[] {
  const ways = { free: ["detach"], mounted: ["unmountAndDetach"], held: [] } satisfies Record<Use, CommandDeed[]>;
  return ways[useOf(device)];
}

function goneDevice({ device, image }: Target & { kind: "device" }, model: DeviceModel): Picture {
  const name = basename(device);
  const notice: Notice = {
    level: model.failure === undefined ? "info" : "error",
    text: model.failure ?? l10n.t("{0} isn't there any more: it was detached or removed.", name),
    action:
      model.failure === undefined && image
        ? { deed: "showImageMap", title: l10n.t("Show Map of {0}", basename(image)) }
        : { deed: "retry", title: l10n.t("Try Again") },
  };
  return { title: name, path: image, facts: [], notices: [notice], actions: [], segments: [] };
}

function factsOf(device: Device): string[] {
  return device.kind === "loop" ? loopFacts(device) : mapperFacts(device);
}

function loopFacts({ sectorSize, readOnly, offset }: LoopDevice): string[] {
  return [
    l10n.t("{0}-byte sectors", sectorSize),
    ...(readOnly ? [l10n.t("read-only")] : []),
    ...(offset > 0 ? [l10n.t("from byte {0} of the image", offset.toLocaleString(env.language))] : []),
  ];
}

function mapperFacts({ table, readOnly, suspended }: MapperDevice): string[] {
  const types = [...new Set(table.map(({ type }) => type))].join(", ");
  return [
    ...(types ? [types] : []),
    ...(readOnly ? [l10n.t("read-only")] : []),
    ...(suspended ? [l10n.t("suspended")] : []),
  ];
}

async function pictureOfImage(path: string, { client, model, deeds }: Studio): Promise<Picture> {
  const title = basename(path);
  const empty: Picture = { title, path, facts: [], notices: [], actions: [], segments: [] };
  try {
    const inspected = await client.request("image/inspect", { path });
    const { segments, notices } = layoutOfImage(inspected, title);
    const attached = attachedTo(path, model);
    if (attached) {
      const text = l10n.t("It is attached as {0}.", labelOf(attached));
      const action = { deed: "showDeviceMap", title: l10n.t("Show Map of {0}", labelOf(attached)) } as const;
      notices.push({ level: "info", text, action });
    }
    return {
      ...empty,
      facts: [formatSize(inspected.size), ...(inspected.size > 0 ? [contentText(inspected.content)] : [])],
      notices,
      actions: attached || inspected.size === 0 ? [] : deeds.offered("attachAndMount", "attach"),
      segments,
    };
  } catch (error) {
    return { ...empty, notices: [{ ...explained(error), action: { deed: "retry", title: l10n.t("Try Again") } }] };
  }
}

export function attachedTo(path: string, model: DeviceModel): LoopDevice | undefined {
  return model.devices.find(
    (device): device is LoopDevice =>
      device.kind === "loop" && device.backingFile === path && !device.backingFileDeleted,
  );
}

export function targetOfAttached(path: string, model: DeviceModel): Target | undefined {
  const device = attachedTo(path, model);
  return device && deviceTarget(device);
}

function explained(error: unknown): Notice {
  const message = error instanceof Error ? error.message : String(error);
  const advice: Partial<Record<Failure["reason"], string>> = {
    notFound: l10n.t("Once it is there again, so is its map."),
    notPermitted: l10n.t(
      "Diskloom looks at images with your own rights: give yourself the right to read it, as by chmod.",
    ),
    kernel: l10n.t("The log may tell more (Diskloom: Show Log)."),
  };
  const more = error instanceof Failure ? advice[error.reason] : advice.kernel;
  return { level: "error", text: [message, more].filter(Boolean).join(" ") };
}
