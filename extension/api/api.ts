/* What other extensions get from activate(): our requests in the words of types.ts, which stay while ours may change. */
import { basename } from "node:path";
import * as vscode from "vscode";
import type * as protocol from "../../helper/protocol";
import type { CommandContext } from "../commands/context";
import { confirmingForeign } from "../commands/foreign";
import { perform } from "../commands/run";
import { Failure } from "../helper/failure";
import type {
  AttachOptions,
  DetachOptions,
  DiskloomApi,
  DiskloomError,
  ErrorCode,
  LoopDevice,
  Partition,
} from "./types";

const whenBusyOf = { refuse: "refuse", unmount: "unmount", later: "lazy" } as const;

export function createApi(context: CommandContext): DiskloomApi {
  return {
    version: 1,
    attach: (path, options) => inItsWords(() => attach(context, path, options)),
    detach: (device, options) => inItsWords(() => detach(context, device, options)),
    list: () => inItsWords(() => list(context)),
    onDidChangeDevices: (listener, ...rest) => {
      // Only a helper that runs has word of changes. One that doesn't start says so when it is asked for something.
      void context.client.request("helper/info", {}).catch(() => {});
      return context.client.onDidChangeDevices(listener, ...rest);
    },
  };
}

/** Where there is no Linux kernel. @param why in a sentence */
export function createUnsupportedApi(why: string): DiskloomApi {
  const refuse = async (): Promise<never> => {
    throw new ApiError("unsupported", why);
  };
  const never: vscode.Event<void> = () => ({ dispose: () => {} });
  return { version: 1, attach: refuse, detach: refuse, list: refuse, onDidChangeDevices: never };
}

class ApiError extends Error implements DiskloomError {
  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly device?: string,
  ) {
    super(message);
    this.name = "DiskloomError";
  }
}

async function inItsWords<T>(request: () => Promise<T>): Promise<T> {
  try {
    return await request();
  } catch (error) {
    throw error instanceof Failure ? new ApiError(error.reason, error.message, error.data.device) : error;
  }
}

async function attach(context: CommandContext, path: string, options: AttachOptions = {}): Promise<LoopDevice> {
  const { readOnly, offset, sizeLimit, sectorSize, share } = options;
  const { device } = await perform(context, vscode.l10n.t("Attaching {0}", basename(path)), "loop/attach", {
    path,
    readOnly,
    offset,
    sizeLimit,
    sectorSize,
    overlap: share ? "share" : "refuse",
  });
  if (device.number < 0) {
    throw new Failure("invalid", vscode.l10n.t("{0} is a block device already: use it as it is.", path));
  }
  return plainDevice(device);
}

async function detach(
  context: CommandContext,
  device: LoopDevice | string,
  { whenBusy = "refuse" }: DetachOptions = {},
): Promise<"detached" | "pending"> {
  const named = typeof device === "string" ? { device } : { device: device.path, diskSequence: device.sequence };
  const wish = { ...named, whenBusy: whenBusyOf[whenBusy] };
  const outcome = await confirmingForeign(
    "detach",
    vscode.l10n.t("Wanted by another extension: {0}", named.device),
    (confirmed) =>
      perform(context, vscode.l10n.t("Detaching {0}", named.device), "loop/detach", { ...wish, ...confirmed }),
  );
  if (!outcome) {
    throw new Failure(
      "cancelled",
      vscode.l10n.t("{0} was left alone, as it was set up by somebody else.", named.device),
    );
  }
  return outcome.state;
}

async function list({ client }: CommandContext): Promise<LoopDevice[]> {
  const { devices } = await client.request("devices/list", {});
  return devices.flatMap((device) => (device.kind === "loop" ? [plainDevice(device)] : []));
}

function plainDevice(device: protocol.LoopDevice): LoopDevice {
  return {
    path: device.device,
    sequence: device.diskSequence,
    image: device.backingFile,
    imageDeleted: device.backingFileDeleted,
    size: device.size,
    sectorSize: device.sectorSize,
    offset: device.offset,
    sizeLimit: device.sizeLimit,
    readOnly: device.readOnly,
    content: plainContent(device.content),
    mounts: targetsOf(device.mounts),
    partitions: device.partitions.map(plainPartition),
  };
}

function plainPartition({ device, number, start, size, name, content, mounts }: protocol.Partition): Partition {
  return { path: device, number, start, size, name, content: plainContent(content), mounts: targetsOf(mounts) };
}

// Not what a newer helper may say beside it.
function plainContent({ kind, type, label, uuid }: protocol.Content): protocol.Content {
  return { kind, type, label, uuid };
}

function targetsOf(mounts: readonly protocol.Mount[]): string[] {
  return mounts.map(({ target }) => target);
}
