/* What runs the helper: the extension host's own Node, or its Electron as Node. */

/** A program and its arguments, and the environment that it is to have. */
export interface Command {
  program: string;
  args: string[];
  environment: Record<string, string>;
}

/**
 * The helper as it is run without further ado. The environment is built, not inherited: what is set for the extension
 * host (NODE_OPTIONS, LD_PRELOAD, …) is none of the helper's business.
 */
export function helperCommand(helperPath: string): Command {
  return {
    program: process.execPath,
    args: [helperPath, "--stdio"],
    environment: {
      PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
      LANG: process.env.LANG ?? "C.UTF-8",
      ...(process.versions.electron ? { ELECTRON_RUN_AS_NODE: "1" } : {}),
    },
  };
}
