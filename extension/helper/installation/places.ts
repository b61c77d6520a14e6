/* Where an installed helper is. Nothing but this file says so: no setting and no variable of the environment. */
import { join } from "node:path";

export interface Places {
  /** The folder with a folder for each version, of which there are two only while one replaces the other. */
  base: string;
  /** The folder where polkit looks for policies. */
  policies: string;
}

export const PLACES: Readonly<Places> = {
  base: "/usr/local/lib/diskloom",
  policies: "/usr/share/polkit-1/actions",
};

/** polkit's name for running the installed helper. */
export const ACTION = "io.github.diskloom.helper";

/** What is in the folder of a version, besides the native files. */
export const LAUNCHER = "diskloom-helper";
export const HELPER = "helper.js";
export const ENGINE = "engine.js";
export const NATIVE = "native";
export const RUNTIME = "node";
/** What installs, and uninstalls. */
export const INSTALLER = "install.js";
/** Says what runs it. */
export const NOTE = "installed.json";

export function policyFile({ policies }: Places): string {
  return join(policies, `${ACTION}.policy`);
}
