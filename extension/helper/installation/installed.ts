/* The helper that root owns: whether it is there, whether it can be trusted, and how it is run. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import type { Command } from "../runtime";
import { HELPER, INSTALLER, LAUNCHER, NOTE, PLACES, policyFile } from "./places";
import { type Flaw, flawAt, flawWithin } from "./sound";

/** What runs an installed program, and the environment that it has then. */
export const Note = v.object({ runtime: v.string(), environment: v.record(v.string(), v.string()) });
export type Note = v.InferOutput<typeof Note>;

/**
 * The versions that are installed; what is only being installed is none.
 * @throws Error where something is there that can't be looked into
 */
export function installedVersions({ base } = PLACES): string[] {
  try {
    return readdirSync(base).filter((name) => /^\d/.test(name));
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") {
      return [];
    }
    throw error;
  }
}

/** Whether one is installed, whatever its version and state. */
export function isInstalled(): boolean {
  try {
    return installedVersions().length > 0;
  } catch {
    return true;
  }
}

/** Why an installed version must not become root; `undefined` where it may. */
export function flawOfInstalled(version: string, { base } = PLACES): Flaw | undefined {
  const folder = join(base, version);
  const flaw = flawAt(folder) ?? flawWithin(folder);
  if (flaw) {
    return flaw;
  }
  for (const name of [LAUNCHER, HELPER, INSTALLER, NOTE]) {
    if (!existsSync(join(folder, name))) {
      return { path: join(folder, name), fault: "is missing" };
    }
  }
  return flawAt(noteOf(folder).runtime);
}

function noteOf(folder: string): Note {
  return v.parse(Note, JSON.parse(readFileSync(join(folder, NOTE), "utf8")));
}

/** Runs the installed helper, whose launcher makes the environment that it needs. */
export function installedCommand(version: string, { base } = PLACES): Command {
  return { program: join(base, version, LAUNCHER), args: [], environment: {}, installed: true };
}

/** Has an installed helper uninstall itself; `undefined` where there is none that may become root. */
export function uninstallCommand(places = PLACES): Command | undefined {
  try {
    const version = installedVersions(places).find((each) => !flawOfInstalled(each, places));
    if (version === undefined) {
      return undefined;
    }
    const folder = join(places.base, version);
    const { runtime, environment } = noteOf(folder);
    return { program: runtime, args: [join(folder, INSTALLER), "uninstall"], environment };
  } catch {
    return undefined;
  }
}

/** Whether polkit knows it by an action of its own. */
export function hasPolicy(): boolean {
  return existsSync(policyFile(PLACES));
}
