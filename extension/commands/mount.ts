/* Mount: a partition, or all that can be mounted of a device, or of several. */
import { basename } from "node:path";
import { l10n } from "vscode";
import { listed } from "../devices/format";
import type { CommandContext } from "./context";
import { mountAll, pickMountables, tellMounted } from "./mounting";
import { performAll, showFailure } from "./run";

export const mount = (context: CommandContext, item?: unknown, selected?: unknown) =>
  mountItem(context, item, selected, {});

/** Mount with Root's Files as Mine: an id-mapped mount, in which files of root can be edited as oneself. */
export const mountIdMapped = (context: CommandContext, item?: unknown, selected?: unknown) =>
  mountItem(context, item, selected, { idMap: true });

async function mountItem(
  context: CommandContext,
  item: unknown,
  selected: unknown,
  options: { idMap?: boolean },
): Promise<void> {
  const mountables = await pickMountables(context, item, selected);
  const [first] = mountables ?? [];
  if (!mountables || !first) {
    return;
  }
  const subject = listed(mountables.map(({ device }) => basename(device)));
  const result = await performAll(context, l10n.t("Mounting {0}", subject), (errand) =>
    mountAll(errand, mountables, options),
  );
  if (result.mounts.length > 0) {
    const disk = first.device.replace(/^(\/dev\/loop\d+)p\d+$/, "$1");
    tellMounted(context, mountables.length === result.mounts.length ? subject : l10n.t("The rest"), disk, result);
  } else if (result.failures[0]) {
    showFailure(context, result.failures[0].error);
  }
}
