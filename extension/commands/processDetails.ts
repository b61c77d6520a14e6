/* Of a process that is in the way: whose it is, how it was called, and where it stands. */
import { readFile, readlink, stat } from "node:fs/promises";
import { l10n } from "vscode";
import { thisMachine } from "../helper/machine";

export interface ProcessDetails {
  user: string;
  commandLine: string;
  /** Its working directory, where that may be seen. */
  folder?: string;
}

/** As far as the user of this VS Code may see it (proc(5)); `undefined` where there is no such process any more. */
export async function processDetails(pid: number): Promise<ProcessDetails | undefined> {
  try {
    const place = `/proc/${pid}`;
    const { uid } = await stat(place);
    const commandLine = (await readFile(`${place}/cmdline`, "utf8")).replaceAll("\0", " ").trim();
    const folder = await readlink(`${place}/cwd`).catch(() => undefined);
    return { user: await nameOf(uid), commandLine, ...(folder !== undefined && { folder }) };
  } catch {
    return undefined;
  }
}

async function nameOf(uid: number): Promise<string> {
  if (uid === process.getuid?.()) {
    return thisMachine.user;
  }
  const users = await readFile("/etc/passwd", "utf8").catch(() => "");
  const [name] =
    users
      .split("\n")
      .find((line) => line.split(":")[2] === String(uid))
      ?.split(":") ?? [];
  return name ?? l10n.t("user {0}", uid);
}
