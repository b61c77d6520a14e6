/* No way to become root: the helper with the rights that we have. All of them where the extension host is root. */
import { l10n } from "vscode";
import type { Machine } from "./machine";
import { type Listener, spawnHelper } from "./process";
import type { Way } from "./way";

export function direct(machine: Pick<Machine, "isRoot">, listen: Listener): Way {
  return {
    name: "being root already",
    obstacle: async () =>
      machine.isRoot()
        ? undefined
        : l10n.t("This VS Code doesn't run as root. Set “diskloom.elevation” to “auto” instead."),
    start: (helper) => spawnHelper(helper, listen),
    refusal: () => ({ kind: "next", advice: l10n.t("The helper doesn't start. See the log for what it said.") }),
  };
}
