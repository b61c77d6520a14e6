/*
 * Create Device-Mapper Device…: what kind, over which devices, under which name. Everything beyond the common kinds is
 * a table, typed or opened from a file.
 */
import * as vscode from "vscode";
import type { Device, MapperTarget } from "../../helper/protocol";
import { formatSize } from "../devices/format";
import { iconOf, labelOf } from "../devices/items";
import { parseSize, SECTOR } from "../devices/size";
import { parseTable } from "../devices/tableText";
import { Failure } from "../helper/failure";
import type { CommandContext } from "./context";
import { offer, perform, showFailure } from "./run";

const TITLE = vscode.l10n.t("Create Device-Mapper Device");
/** A snapshot's chunk and a stripe, in sectors: 4 KiB and 64 KiB, as lvm2 has them by default. */
const SNAPSHOT_CHUNK = 8;
const STRIPE_CHUNK = 128;

/** Something that a device can stand on. */
interface Base {
  device: string;
  /** In sectors of 512 bytes. */
  sectors: number;
  readOnly: boolean;
}

/** `undefined`: the user went away. */
type Table = Promise<{ table: MapperTarget[]; readOnly?: boolean } | undefined>;

const kinds: { label: string; detail: string; make: (context: CommandContext) => Table }[] = [
  {
    label: vscode.l10n.t("$(list-ordered) Linear"),
    detail: vscode.l10n.t("One or several devices or partitions, one after the other"),
    make: linear,
  },
  {
    label: vscode.l10n.t("$(split-horizontal) Striped"),
    detail: vscode.l10n.t("Several devices side by side, as RAID 0"),
    make: striped,
  },
  {
    label: vscode.l10n.t("$(copy) Snapshot"),
    detail: vscode.l10n.t("A device that can be written to while the original stays as it is"),
    make: snapshot,
  },
  {
    label: vscode.l10n.t("$(circle-slash) Zero"),
    detail: vscode.l10n.t("Reads as zeros, forgets what is written"),
    make: (c) => sized(c, "zero"),
  },
  {
    label: vscode.l10n.t("$(error) Error"),
    detail: vscode.l10n.t("Every read and write fails, for tests"),
    make: (c) => sized(c, "error"),
  },
  {
    label: vscode.l10n.t("$(edit) Type a Table…"),
    detail: vscode.l10n.t("One line, as for dmsetup create --table"),
    make: typed,
  },
  {
    label: vscode.l10n.t("$(go-to-file) Table from a File…"),
    detail: vscode.l10n.t("As for dmsetup create"),
    make: fromFile,
  },
];

export async function createMapper(context: CommandContext): Promise<void> {
  try {
    const kind = await vscode.window.showQuickPick(kinds, {
      title: TITLE,
      placeHolder: vscode.l10n.t("What kind of device?"),
    });
    const wish = await kind?.make(context);
    const name = wish && (await askName(context));
    if (!wish || !name) {
      return;
    }
    const { device } = await perform(context, vscode.l10n.t("Creating {0}", name), "mapper/create", { name, ...wish });
    const show = { title: vscode.l10n.t("Show Device"), run: () => context.view.reveal(device.device) };
    const message = vscode.l10n.t("{0} is there ({1}).", device.device, formatSize(device.size));
    offer(vscode.window.showInformationMessage(message, show.title), [show]);
  } catch (error) {
    showFailure(context, error);
  }
}

async function linear(context: CommandContext): Table {
  const bases = await pickBases(context, vscode.l10n.t("Over which devices? They follow one another as listed."));
  let start = 0;
  const table = bases?.map(({ device, sectors }) => {
    const target = { startSectors: start, lengthSectors: sectors, type: "linear", params: `${device} 0` };
    start += sectors;
    return target;
  });
  return table && bases && { table, readOnly: bases.some(({ readOnly }) => readOnly) };
}

async function striped(context: CommandContext): Table {
  const bases = await pickBases(context, vscode.l10n.t("Over which devices? At least two."));
  if (!bases) {
    return undefined;
  }
  if (bases.length < 2) {
    throw new Failure("invalid", vscode.l10n.t("Stripes need at least two devices. Choose more than one."));
  }
  // All stripes are as long as the shortest device, in whole chunks.
  const stripe = Math.floor(Math.min(...bases.map(({ sectors }) => sectors)) / STRIPE_CHUNK) * STRIPE_CHUNK;
  const params = [bases.length, STRIPE_CHUNK, ...bases.map(({ device }) => `${device} 0`)].join(" ");
  const table = [{ startSectors: 0, lengthSectors: stripe * bases.length, type: "striped", params }];
  return { table, readOnly: bases.some(({ readOnly }) => readOnly) };
}

async function snapshot(context: CommandContext): Table {
  const origin = await pickBase(context, vscode.l10n.t("Of which device?"));
  const store =
    origin &&
    (await pickBase(context, vscode.l10n.t("Where are changes kept? What is on that device is overwritten."), origin));
  if (!origin || !store) {
    return undefined;
  }
  const params = `${origin.device} ${store.device} N ${SNAPSHOT_CHUNK}`;
  return { table: [{ startSectors: 0, lengthSectors: origin.sectors, type: "snapshot", params }] };
}

async function sized(_: CommandContext, type: string): Table {
  const size = await vscode.window.showInputBox({
    title: TITLE,
    prompt: vscode.l10n.t("How large? For example 64 MiB, 1 GiB, or a number of bytes."),
    value: "64 MiB",
    validateInput: (text) =>
      (parseSize(text) ?? 0) < SECTOR ? vscode.l10n.t("Write a size such as 64 MiB, at least 512 bytes.") : "",
  });
  const bytes = size === undefined ? undefined : parseSize(size);
  return bytes === undefined
    ? undefined
    : { table: [{ startSectors: 0, lengthSectors: Math.floor(bytes / SECTOR), type, params: "" }] };
}

async function typed(): Table {
  const line = await vscode.window.showInputBox({
    title: TITLE,
    prompt: vscode.l10n.t("Start and length in sectors of 512 bytes, target, and its parameters"),
    placeHolder: "0 131072 linear /dev/loop0 0",
    validateInput: (text) => {
      try {
        return text.trim() === "" || parseTable(text).length > 0 ? "" : vscode.l10n.t("The table is empty.");
      } catch (error) {
        return error instanceof Error ? error.message : String(error);
      }
    },
  });
  return line?.trim() ? { table: parseTable(line) } : undefined;
}

async function fromFile(): Table {
  const [file] = (await vscode.window.showOpenDialog({ title: TITLE, openLabel: vscode.l10n.t("Use Table") })) ?? [];
  if (!file) {
    return undefined;
  }
  return { table: parseTable(Buffer.from(await vscode.workspace.fs.readFile(file)).toString("utf8")) };
}

function askName({ model }: CommandContext): Thenable<string | undefined> {
  const taken = new Set(model.devices.map((device) => (device.kind === "mapper" ? device.name : "")));
  return vscode.window.showInputBox({
    title: TITLE,
    prompt: vscode.l10n.t("Its name under /dev/mapper"),
    placeHolder: "data",
    validateInput: (name) => {
      if (name === "" || name.includes("/") || [".", "..", "control"].includes(name)) {
        return vscode.l10n.t("Write a name without a slash.");
      }
      return taken.has(name) ? vscode.l10n.t("There is a device called {0} already.", name) : "";
    },
  });
}

type Choice = vscode.QuickPickItem & { base: Base };

async function pickBases({ model }: CommandContext, placeHolder: string): Promise<Base[] | undefined> {
  const options = { title: TITLE, placeHolder, canPickMany: true as const, matchOnDescription: true };
  const picked = await vscode.window.showQuickPick(choices(model.devices), options);
  return picked?.length ? picked.map(({ base }) => base) : undefined;
}

async function pickBase({ model }: CommandContext, placeHolder: string, but?: Base): Promise<Base | undefined> {
  const items = choices(model.devices).filter(({ base }) => base.device !== but?.device);
  return (await vscode.window.showQuickPick(items, { title: TITLE, placeHolder, matchOnDescription: true }))?.base;
}

/** Devices and their partitions, but for what is mounted: that can't be stood on. */
function choices(devices: readonly Device[]): Choice[] {
  const found = devices.flatMap((device) => [
    ...(device.mounts.length === 0 && device.partitions.length === 0
      ? [choice(device.device, device, device.readOnly, `$(${iconOf(device)}) ${labelOf(device)}`)]
      : []),
    ...device.partitions
      .filter(({ mounts }) => mounts.length === 0)
      .map((partition) => choice(partition.device, partition, device.readOnly, `$(symbol-field) ${partition.device}`)),
  ]);
  if (found.length === 0) {
    throw new Failure("notFound", vscode.l10n.t("There is no device to stand on. Attach an image first."));
  }
  return found;
}

function choice(device: string, { size }: { size: number }, readOnly: boolean, label: string): Choice {
  const description = [device, formatSize(size), readOnly && vscode.l10n.t("read-only")].filter(Boolean).join(" · ");
  return { label, description, base: { device, sectors: Math.floor(size / SECTOR), readOnly } };
}
