/* What becomes root: what root has installed where it has, and never anything else then. */
import { l10n } from "vscode";
import { Failure } from "../failure";
import type { Command } from "../runtime";
import { flawOfInstalled, installedCommand, installedVersions } from "./installed";
import { PLACES } from "./places";
import { describe } from "./sound";

const AGAIN = l10n.t("Installing it again (“Diskloom: Install Privileged Helper...”) puts that right.");

/**
 * @param own the helper in the extension's folder
 * @param replace puts ours in the place of another version, where the user wants that
 * @throws Failure where what is installed must not become root
 */
export async function rootCommand(
  own: Command,
  replace: (installed: string) => Promise<void>,
  places = PLACES,
): Promise<Command> {
  const versions = looked(() => installedVersions(places));
  if (versions.length === 0) {
    return own;
  }
  if (!versions.includes(DISKLOOM_VERSION)) {
    await replace(versions.join(", "));
  }
  const flaw = looked(() => flawOfInstalled(DISKLOOM_VERSION, places));
  if (flaw) {
    // The folders above aren't ours to put right.
    const isAbove = flaw.path === "/" || places.base.startsWith(`${flaw.path}/`);
    throw refusal(isAbove ? describe(flaw) : `${describe(flaw)} ${AGAIN}`);
  }
  return installedCommand(DISKLOOM_VERSION, places);
}

function looked<T>(look: () => T): T {
  try {
    return look();
  } catch (error) {
    throw refusal(`${error instanceof Error ? error.message : error}. ${AGAIN}`);
  }
}

function refusal(reason: string): Failure {
  return new Failure("notPrivileged", l10n.t("Diskloom's installed helper isn't safe to run as root: {0}", reason));
}
