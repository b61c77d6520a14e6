/* A VS Code that runs as somebody who isn't root, on a machine that looks as if that user were at home there. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { root } from "../helper";
import type { Told, Wishes } from "./host/as-user.mjs";
import { type HelperProcess, helperProcesses } from "./processes";
import type { Extension, Person, Served } from "./seat";
import { until } from "./until";

/** Where the checkout is seen in there: the user may not get at the folders above it. */
const CHECKOUT = "/mnt";

export const USER = { name: "diskloom-test", uid: 47123 };

export class UnprivilegedPlace implements AsyncDisposable {
  #configured = 0;

  private constructor(
    readonly served: Pick<Served, "url" | "password" | "address">,
    readonly process: ChildProcess,
    /** The first process in there, as seen from here. */
    readonly init: number,
    readonly folder: string,
  ) {}

  /**
   * @param folder for what is needed meanwhile; the user can read what is in it
   * @param sudoers what the user may do
   */
  static async open(folder: string, extension: Extension, sudoers: string, user = USER): Promise<UnprivilegedPlace> {
    const { vsix } = extension;
    const inner = join(folder, "place");
    mkdirSync(inner);
    const wishes: Wishes = {
      user: user.name,
      uid: user.uid,
      sudoers,
      folder: inner,
      // From outside, in there a package may be where nothing is.
      extension: { ...extension, ...(vsix && { vsix: vsix.map((file) => file.replace(root, CHECKOUT)) }) },
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
      return new UnprivilegedPlace({ ...told, address }, child, init, inner);
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

  /** The user has this password from now on. */
  setPassword(password: string): void {
    const { stdout } = spawnSync("openssl", ["passwd", "-6", "-stdin"], { input: password, encoding: "utf8" });
    const shadow = readFileSync(this.path("/etc/shadow"), "utf8");
    writeFileSync(
      this.path("/etc/shadow"),
      shadow.replace(`${USER.name}:*:`, () => `${USER.name}:${stdout.trim()}:`),
    );
  }

  /** The folder that all of VS Code's own is in. */
  get codeFolder(): string {
    const folder = join(this.folder, "tmp");
    return join(folder, readdirSync(folder).find((name) => name.startsWith("diskloom-vscode-")) ?? "");
  }

  /**
   * Settings of the machine that VS Code runs on, in force from now on.
   * @param page a window that is open: it has taken them over, and told its extensions, once its title is another
   */
  async configure(settings: Record<string, unknown>, page?: Person["page"]): Promise<void> {
    const folder = join(this.codeFolder, "user-data/Machine");
    mkdirSync(folder, { recursive: true });
    const title = `Settings ${++this.#configured}`;
    writeFileSync(join(folder, "settings.json"), JSON.stringify({ ...settings, "window.title": title }));
    await page?.waitForFunction((title) => document.title.includes(title), title);
  }

  /** Runs something as root in there, and returns what it printed. */
  run(script: string): string {
    const enter = ["--target", String(this.init), "--mount", "--pid", "--", "sh", "-c", script];
    return execFileSync("nsenter", enter, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"], cwd: "/" });
  }

  /**
   * Starts polkit, with the bus that it is asked by.
   * @param action one that it has to know
   */
  async startPolkit(action: string): Promise<void> {
    this.run("mkdir -p /run/dbus && dbus-daemon --system --fork --nopidfile --syslog-only");
    this.run("setsid /usr/lib/polkit-1/polkitd --no-debug > /run/polkitd.log 2>&1 < /dev/null &");
    await until("polkit's word of the action", () =>
      this.run(`pkaction --verbose --action-id ${action} || :`).includes("implicit any:"),
    );
  }

  /** Adds a rule by which polkit lets the user do this without a password, and waits until it holds. */
  async allowByPolkit(action: string): Promise<void> {
    const rule = `action.id == "${action}" && subject.user == "${USER.name}"`;
    // Debian's polkit understands no later JavaScript.
    const rules = `polkit.addRule(function(action, subject) { if (${rule}) return polkit.Result.YES; });\n`;
    writeFileSync(this.path("/etc/polkit-1/rules.d/10-diskloom-test.rules"), rules);
    const check = `setpriv --reuid=${USER.uid} --clear-groups sh -c 'pkcheck --action-id ${action} --process $$'`;
    await until("the rule to hold", () => this.run(`${check} 2> /dev/null && echo yes || :`).includes("yes"));
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
