/* Having the program that installs run as root, by the same ways as a helper. */
import { join } from "node:path";
import * as v from "valibot";
import { l10n } from "vscode";
import { Failure } from "../failure";
import { type Command, nodeCommand } from "../runtime";
import { StartError, type Way } from "../way";
import { uninstallCommand } from "./installed";
import { INSTALLER } from "./places";

export const Outcome = v.union([v.object({ done: v.string() }), v.object({ problem: v.string() })]);
/** How it ended: a sentence for the log, or one for the user. */
export type Outcome = v.InferOutput<typeof Outcome>;

export type Deed = "install" | "uninstall";

/** Installing takes the extension's own program. Once one is installed, that is what becomes root to uninstall, too. */
function installer(programs: string, deed: Deed): Command {
  const installed = deed === "uninstall" ? uninstallCommand() : undefined;
  return installed ?? nodeCommand([join(programs, INSTALLER), deed]);
}

/**
 * @param programs the folder of our own programs
 * @throws StartError where it didn't become root
 */
export async function runInstaller(way: Way, programs: string, deed: Deed): Promise<Outcome> {
  const running = await way.start(installer(programs, deed)).catch((error) => {
    throw new StartError(String(error));
  });
  try {
    const said = await new Promise<string>((resolve) => {
      let text = "";
      running.output.setEncoding("utf8");
      running.output.on("data", (part) => {
        text += part;
      });
      running.output.once("close", () => resolve(text));
    });
    if (said === "") {
      running.close();
      await running.ended;
      throw new StartError(running.said().trim() || "It ended before it had done anything.");
    }
    return v.parse(Outcome, JSON.parse(said));
  } finally {
    running.close();
  }
}

/** @throws Failure where it ended in a problem */
export function doneOf(outcome: Outcome, deed: Deed): string {
  if ("problem" in outcome) {
    const what =
      deed === "install"
        ? l10n.t("The privileged helper couldn't be installed.")
        : l10n.t("The privileged helper couldn't be uninstalled.");
    throw new Failure("kernel", `${what} ${outcome.problem}`);
  }
  return outcome.done;
}
