/* A folder that nobody else can look into, for sockets, FIFOs and scripts. */
import { accessSync, chmodSync, constants, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The path of a Unix socket has at most 108 bytes, unix(7); what is in the folder and its random end are part of it. */
const LONGEST_BASE = 70;

export interface PrivateFolder {
  readonly path: string;
  /** Can be called twice. */
  remove(): void;
}

/**
 * Makes one with mode 0700, which mkdtemp(3) gives it from the beginning.
 * @param forPrograms whether what is in it is to be run: some systems forbid that where such folders usually are
 */
export function privateFolder(forPrograms: boolean): PrivateFolder {
  const bases = [process.env.XDG_RUNTIME_DIR, tmpdir(), "/tmp"].filter((base) => base?.startsWith("/"));
  let problem: unknown = new Error("There is no folder for temporary files.");
  for (const base of bases as string[]) {
    let path: string | undefined;
    try {
      if (Buffer.byteLength(base) > LONGEST_BASE) {
        throw new Error(`${base} is too long a path for a socket.`);
      }
      path = mkdtempSync(join(base, "diskloom-"));
      const made = path;
      check(made, forPrograms);
      return { path: made, remove: () => rmSync(made, { recursive: true, force: true }) };
    } catch (error) {
      problem = error;
      if (path) {
        rmSync(path, { recursive: true, force: true });
      }
    }
  }
  throw problem;
}

function check(folder: string, forPrograms: boolean): void {
  // Some file systems know no owners nor modes.
  const { uid, mode } = statSync(folder);
  if (uid !== process.geteuid?.() || (mode & 0o777) !== 0o700) {
    throw new Error(`${folder} isn't private.`);
  }
  if (forPrograms) {
    const program = join(folder, "probe");
    writeFileSync(program, "");
    chmodSync(program, 0o700);
    // access(2) knows of "noexec" mounts.
    accessSync(program, constants.X_OK);
    rmSync(program);
  }
}
