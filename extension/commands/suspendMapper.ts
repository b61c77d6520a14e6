/* Suspend and Resume: holding a mapper device's I/O back, and letting it go on. */
import type { CommandContext } from "./context";
import { confirmingForeign } from "./foreign";
import { naming, pickMapper } from "./pick";
import { perform, showFailure } from "./run";

export const suspendMapper = (context: CommandContext, item?: unknown) =>
  change(context, "Suspend", "mapper/suspend", item);
export const resumeMapper = (context: CommandContext, item?: unknown) =>
  change(context, "Resume", "mapper/resume", item);

async function change(
  context: CommandContext,
  deed: string,
  method: "mapper/suspend" | "mapper/resume",
  item: unknown,
): Promise<void> {
  const device = await pickMapper(context, `${deed} Device-Mapper Device`, item);
  if (!device) {
    return;
  }
  try {
    await confirmingForeign(deed, device.device, (confirmed) =>
      perform(context, `${deed} ${device.name}`, method, { ...naming(device), ...confirmed }),
    );
  } catch (error) {
    showFailure(context, error);
  }
}
