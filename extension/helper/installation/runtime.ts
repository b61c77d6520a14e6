/* Finding what runs an installed helper: a Node, or an Electron as one, that nobody but root can change. */
import { execFileSync } from "node:child_process";
import { realpathSync } from "node:fs";
import { asNode } from "../runtime";
import { describe, type Flaw, flawAt } from "./sound";

export interface Runtime {
  path: string;
  /** What it needs to be a Node. */
  environment: Record<string, string>;
}

/** The oldest that runs the helper, as in package.json's engines. */
const OLDEST = [20, 11] as const;
/** Where systems have their Node. */
const SYSTEM_NODES = ["/usr/bin/node", "/usr/local/bin/node"];
/** Starting a Node takes a fraction of a second; milliseconds. */
const PATIENCE = 60_000;
/** env(1), which the launcher passes it to, would take one with a "=" for a variable. */
const PLAIN = /^[^=]+$/;

/**
 * What runs us, copied where that is needed and can be, else the system's Node. A copy of Electron would need its
 * libraries and resources, too, some 300 MB of them.
 *
 * @param copy makes a copy of a program where only root can write
 * @throws Error saying what to install
 */
export function chooseRuntime(copy: (program: string) => string): Runtime {
  const own = process.execPath;
  const candidates: (() => Runtime)[] = [
    () => inPlace(own, asNode),
    ...(process.versions.electron ? [] : [() => checked({ path: copy(own), environment: {} })]),
    ...SYSTEM_NODES.map((path) => () => inPlace(path, {})),
  ];
  const reasons: unknown[] = [];
  for (const candidate of candidates) {
    try {
      return candidate();
    } catch (error) {
      reasons.push(error instanceof Error ? error.message : error);
    }
  }
  throw new Error(
    "There is no runtime for the helper that only root can change. Install Node " +
      `${OLDEST.join(".")} or later for all users (/usr/bin/node) and try again. ${reasons[0]}`,
  );
}

function inPlace(program: string, environment: Record<string, string>): Runtime {
  const path = realpathSync(program);
  if (!PLAIN.test(path)) {
    throw new Error(`${path} has a “=” in its path.`);
  }
  refuse(flawAt(path));
  return checked({ path, environment });
}

/**
 * A program can bring its own loader and libraries from anywhere, as VS Code's server does on old systems: whatever of
 * files it has in memory when it runs has to be root's alone, too.
 */
function checked(runtime: Runtime): Runtime {
  const script = 'process.versions.node + "\\n" + require("fs").readFileSync("/proc/self/maps", "utf8")';
  const options = { env: runtime.environment, cwd: "/", timeout: PATIENCE, encoding: "utf8" } as const;
  const [version = "", ...maps] = execFileSync(runtime.path, ["-p", script], options).split("\n");
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])) {
    throw new Error(`${runtime.path} is Node ${version}.`);
  }
  for (const file of mappedFiles(maps)) {
    refuse(flawAt(file));
  }
  return runtime;
}

/** proc_pid_maps(5): five columns before the path; what is in memory only has none, or a name of another form. */
function mappedFiles(lines: string[]): Set<string> {
  const paths = lines.flatMap((line) => /^(?:\S+\s+){5}(\/.*)$/.exec(line)?.[1] ?? []);
  return new Set(paths.filter((path) => !/^\/(dev\/|memfd:|anon_hugepage)/.test(path)));
}

function refuse(flaw: Flaw | undefined): void {
  if (flaw) {
    throw new Error(describe(flaw));
  }
}
