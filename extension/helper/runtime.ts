/* What runs the helper: the extension host's own Node, or its Electron as Node. */

/** A program and its arguments, and the environment that it is to have. */
export interface Command {
  program: string;
  args: string[];
  environment: Record<string, string>;
  /** It is the launcher of an installed helper, which makes its environment itself and is run as it is. */
  installed?: true;
}

/** What makes Electron a Node; nothing where it is one. */
export const asNode: Record<string, string> = process.versions.electron ? { ELECTRON_RUN_AS_NODE: "1" } : {};

/** The extension's own copy of the helper, as it is run without further ado. */
export function helperCommand(helperPath: string): Command {
  return nodeCommand([helperPath, "--stdio"]);
}

/**
 * A program of ours. The environment is built, not inherited: what is set for the extension host (NODE_OPTIONS,
 * LD_PRELOAD, …) is none of its business.
 */
export function nodeCommand(args: string[]): Command {
  return {
    program: process.execPath,
    args,
    environment: {
      PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
      LANG: process.env.LANG ?? "C.UTF-8",
      ...asNode,
    },
  };
}

/** What leads Node or its libraries astray, should whatever makes us root have been told to keep it. */
const MISLEADING = [
  "NODE_OPTIONS",
  "NODE_PATH",
  "NODE_EXTRA_CA_CERTS",
  "NODE_REDIRECT_WARNINGS",
  "NODE_V8_COVERAGE",
  "NODE_ICU_DATA",
  "OPENSSL_CONF",
  "OPENSSL_MODULES",
  "SSL_CERT_FILE",
  "UV_THREADPOOL_SIZE",
];

/**
 * A command for sudo or pkexec to run. They drop the environment and add who has called them, which is to stay; so what
 * the runtime needs goes through env(1).
 */
export function asRoot({ program, args, environment, installed }: Command): [string, ...string[]] {
  if (installed) {
    return [program, ...args];
  }
  const without = MISLEADING.flatMap((name) => ["-u", name]);
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  // env(1) would take a program with a "=" in its path for one more variable.
  const disguise = program.includes("=") ? ["/bin/sh", "-c", 'exec "$0" "$@"'] : [];
  return ["/usr/bin/env", ...without, ...variables, ...disguise, program, ...args];
}
