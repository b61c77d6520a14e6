/* Suspend and Resume: holding a mapper device's I/O back, and letting it go on. */
import { l10n } from "vscode";
import type { CommandContext } from "./context";
import { confirmingForeign } from "./foreign";
import { naming, pickMapper } from "./pick";
import { perform, showFailure } from "./run";

export const suspendMapper = (context: CommandContext, item?: unknown) => change(context, "suspend", item);
export const resumeMapper = (context: CommandContext, item?: unknown) => change(context, "resume", item);

const deeds = {
  suspend: {
    method: "mapper/suspend",
    title: l10n.t("Suspend Device-Mapper Device"),
    progress: (name: string) => l10n.t("Suspending {0}", name),
  },
  resume: {
    method: "mapper/resume",
    title: l10n.t("Resume Device-Mapper Device"),
    progress: (name: string) => l10n.t("Resuming {0}", name),
  },
} as const;

async function change(context: CommandContext, deed: keyof typeof deeds, item: unknown): Promise<void> {
  const { method, title, progress } = deeds[deed];
  const device = await pickMapper(context, title, item);
  if (!device) {
    return;
  }
  try {
    await confirmingForeign(deed, device.device, (confirmed) =>
      perform(context, progress(device.name), method, { ...naming(device), ...confirmed }),
    );
  } catch (error) {
    showFailure(context, error);
  }
}
