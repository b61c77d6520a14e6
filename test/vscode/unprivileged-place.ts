/* A VS Code that runs as somebody who isn't root, on a machine that looks as if that user were at home there. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { root } from "../helper";
import type { Told, Wishes } from "./host/as-user.mjs";
import { type HelperProcess, helperProcesses } from "./processes";
import type { Served } from "./seat";
import { until } from "./until";

/** Where the checkout is seen in there: the user may not get at the folders above it. */
const CHECKOUT = "/mnt";

export const USER = { name: "diskloom-test", uid: 47123 };

export class UnprivilegedPlace implements AsyncDisposable {
  private constructor(
    readonly served: Pick<Served, "url" | "password" | "address">,
    readonly process: ChildProcess,
    /** The first process in there, as seen from here. */
    readonly init: number,
  ) {}

  /**
   * @param folder for what is needed meanwhile; the user can read what is in it
   * @param sudoers what the user may do
   */
  static async open(folder: string, vsix: string, sudoers: string): Promise<UnprivilegedPlace> {
    const inner = join(folder, "place");
    mkdirSync(inner);
    const wishes: Wishes = {
      user: USER.name,
      uid: USER.uid,
      sudoers,
      folder: inner,
      vsix: vsix.replace(root, CHECKOUT),
    };
    const script = `mount --bind "$1" ${CHECKOUT} && exec "$2" ${CHECKOUT}/test/vscode/host/as-user.mjs "$3"`;
    const child = spawn(
      "unshare",
      [
        ...["--mount", "--pid", "--fork", "--mount-proc", "--kill-child"],
        ...["sh", "-c", script, "sh", root, process.execPath, JSON.stringify(wishes)],
      ],
      { stdio: ["pipe", "pipe", "inherit"], cwd: "/" },
    );
    const ended = once(child, "exit").then(([code, signal]) => {
      throw new Error(`The place for an unprivileged user ended with ${code ?? signal}.`);
    });
    try {
      const [line] = await Promise.race([once(createInterface(child.stdout), "line"), ended]);
      const told: Told = JSON.parse(line);
      const init = Number(readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").trim());
      ended.catch(() => {});
      const address: Served["address"] = (page) => `${told.url}/?folder=${encodeURIComponent(page?.folder ?? "")}`;
      return new UnprivilegedPlace({ ...told, address }, child, init);
    } catch (error) {
      ended.catch(() => {});
      child.kill("SIGKILL");
      throw error;
    }
  }

  /** A file in there, as a path from here. */
  path(file: string): string {
    return `/proc/${this.init}/root${file}`;
  }

  /** What sudo allows from now on. */
  allow(sudoers: string): void {
    // A new rule has to be there as a whole: sudo refuses all where one file is wrong.
    writeFileSync(this.path(`/etc/sudoers.d/${USER.name}`), sudoers);
  }

  helpers(): HelperProcess[] {
    const namespace = readlinkSync(`/proc/${this.init}/ns/pid`);
    return helperProcesses().filter((helper) => helper.namespace === namespace);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.stdin?.end();
    const isOver = () => this.process.exitCode !== null || this.process.signalCode !== null;
    await until("the end of the unprivileged VS Code", isOver).catch(() => this.process.kill("SIGKILL"));
  }
}
