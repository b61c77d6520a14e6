/*
 * Installs the helper for root, or uninstalls it: run as root by the extension. See ../installation/.
 *
 *   install.js install|uninstall
 *
 * Its stdout has one line of JSON, an Outcome.
 */
import { install, uninstall } from "../installation/install";
import { PLACES } from "../installation/places";
import type { Outcome } from "../installation/run";

/** As in sysexits.h: EX_USAGE. */
const USAGE = 64;

function main(): void {
  const [deed, ...rest] = process.argv.slice(2);
  if ((deed !== "install" && deed !== "uninstall") || rest.length > 0) {
    process.stderr.write("This program is run by Diskloom's VS Code extension: install.js install|uninstall\n");
    process.exit(USAGE);
  }
  process.stdout.write(`${JSON.stringify(outcomeOf(deed))}\n`);
}

function outcomeOf(deed: "install" | "uninstall"): Outcome {
  try {
    if (process.geteuid?.() !== 0) {
      throw new Error("It was started to be root, but isn't.");
    }
    if (deed === "uninstall") {
      uninstall(PLACES);
      return { done: "There is no installed helper any more." };
    }
    const { runtime, policy } = install(__dirname, DISKLOOM_VERSION, PLACES);
    return { done: `It is run by ${runtime}. polkit ${policy ? "has" : "has no"} policy for it.` };
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) };
  }
}

main();
