/*
 * The extension's side of the helper. It begins without rights, which is enough for the tree; the first request that
 * needs root starts an elevated helper, which takes over, and gives way to one without rights again when it has had
 * nothing to do for long. One that dies is started again.
 */
import { dirname } from "node:path";
import * as vscode from "vscode";
import type { HelperInfo, Method, Params, Result } from "../../helper/protocol";
import type { Ask } from "./askpass";
import { elevate, type Setting, settings, waysFor } from "./elevation";
import { Failure, failureOf } from "./failure";
import { IdleTimer } from "./idle";
import { hasPolicy, isInstalled } from "./installation/installed";
import { ACTION } from "./installation/places";
import { askToReplace } from "./installation/replaceBox";
import { rootCommand } from "./installation/rootCommand";
import { type Deed, doneOf, runInstaller } from "./installation/run";
import { thisMachine } from "./machine";
import { askByBox } from "./passwordBox";
import { ANY_PROGRAM } from "./polkit";
import { type Listener, spawnHelper } from "./process";
import { helperCommand } from "./runtime";
import type { RequestOptions, Session } from "./session";
import { type RunningHelper, StartError, type Way } from "./way";

/** Requests that anybody's helper can answer. */
const UNPRIVILEGED: ReadonlySet<Method> = new Set(["helper/info", "devices/list", "image/inspect"]);
/** A helper that dies more often than this within a minute isn't started again by itself. */
const MOST_RESTARTS = 3;
const MINUTE = 60_000;

export class HelperClient implements vscode.Disposable {
  readonly #devicesChanged = new vscode.EventEmitter<void>();
  readonly onDidChangeDevices = this.#devicesChanged.event;
  readonly #restarted = new vscode.EventEmitter<void>();
  /** The helper died and another one has taken its place. */
  readonly onDidRestart = this.#restarted.event;
  readonly #rootChanged = new vscode.EventEmitter<HelperInfo | undefined>();
  /** A helper that is root runs now, or none does any more. */
  readonly onDidChangeRoot = this.#rootChanged.event;

  #current: Promise<Session> | undefined;
  /** The helper that is root, while there is one. */
  #root: Session | undefined;
  /** The last one that is the installed copy. */
  #installed: Session | undefined;
  #elevating: Promise<Session> | undefined;
  #deaths: number[] = [];
  #disposed = false;
  readonly #idle = new IdleTimer(
    idleMinutes,
    () => this.#isHolding(),
    () => void this.#endIdle(),
  );
  readonly #configuration: vscode.Disposable;

  constructor(
    readonly helperPath: string,
    readonly log: vscode.LogOutputChannel,
  ) {
    this.#configuration = vscode.workspace.onDidChangeConfiguration((change) => {
      if (change.affectsConfiguration("diskloom.idleMinutes") && this.#root) {
        this.#idle.restart();
      }
    });
  }

  /** @throws Failure */
  async request<M extends Method>(method: M, params: Params<M>, options: RequestOptions = {}): Promise<Result<M>> {
    const needsRoot = !UNPRIVILEGED.has(method) || options.asRoot === true;
    if (needsRoot) {
      demandTrust();
    }
    if (!UNPRIVILEGED.has(method)) {
      this.tryAgain();
    }
    const send = async () => {
      const session = await (needsRoot ? this.#privileged() : this.#any());
      try {
        return await session.request(method, params, options);
      } catch (error) {
        throw failureOf(error, session.hasEnded);
      }
    };
    return needsRoot ? this.#idle.during(send) : send();
  }

  /** Somebody wants something of it: a helper that kept ending is started once more. */
  tryAgain(): void {
    this.#deaths = [];
  }

  /** What the helper that is root says of itself; `undefined` where none runs. */
  async rootInfo(): Promise<HelperInfo | undefined> {
    return this.#root?.request("helper/info", {});
  }

  /** Ends the helper that is root; one without rights takes its place. */
  async stopRoot(): Promise<void> {
    const root = this.#root;
    if (!root) {
      return;
    }
    this.#current = undefined;
    this.#setRoot(undefined);
    await root.stop();
    await this.#any();
    this.#devicesChanged.fire();
  }

  /** Starts a helper that is root, in the place of the one that is. @throws Failure */
  async restartRoot(): Promise<void> {
    await this.stopRoot();
    await this.request("helper/info", {}, { asRoot: true });
  }

  /** Installs the helper where only root can change it, or uninstalls it. Ends the one that is root. @throws Failure */
  async changeInstallation(deed: Deed): Promise<void> {
    demandTrust();
    await this.stopRoot();
    await this.#runInstaller(deed);
  }

  dispose(): void {
    this.#disposed = true;
    this.#idle.stop();
    void this.#current?.then((session) => session.stop()).catch(() => {});
    vscode.Disposable.from(this.#configuration, this.#devicesChanged, this.#restarted, this.#rootChanged).dispose();
  }

  async #any(): Promise<Session> {
    // The tree asks by itself, and would keep starting one that its question kills.
    if (!this.#current && this.#deaths.length > MOST_RESTARTS) {
      const why = vscode.l10n.t("Diskloom's helper keeps ending and isn't started again by itself.");
      const advice = vscode.l10n.t("Refresh the devices to try again; the log may say why.");
      throw new Failure("kernel", `${why} ${advice}`);
    }
    const helper = helperCommand(this.helperPath);
    this.#current ??= this.#start(() => spawnHelper(helper, this.#listen)).catch((error) => {
      this.#current = undefined;
      throw new Failure("kernel", vscode.l10n.t("Diskloom's helper doesn't start: {0}", saidBy(error)));
    });
    return this.#current;
  }

  /** Several requests at once become root once. */
  async #privileged(): Promise<Session> {
    const current = await this.#any();
    // Where VS Code is root, so is the tree's helper; what is installed takes over all the same.
    if (current.isPrivileged && (!thisMachine.isRoot() || current === this.#installed || !isInstalled())) {
      return current;
    }
    this.#elevating ??= this.#elevate(current).finally(() => {
      this.#elevating = undefined;
    });
    return this.#elevating;
  }

  async #elevate(before: Session): Promise<Session> {
    const helper = await rootCommand(helperCommand(this.helperPath), (installed) => this.#replace(installed));
    const action = helper.installed && hasPolicy() ? ACTION : ANY_PROGRAM;
    const start = (way: Way) => this.#startRoot(() => way.start(helper));
    const elevated = await this.#asRoot(start, askByBox(!helper.installed), action);
    this.#current = Promise.resolve(elevated);
    this.#installed = helper.installed && elevated;
    this.#setRoot(elevated);
    await before.stop();
    return elevated;
  }

  /** Starts something by a way to root that the setting allows. @throws Failure */
  #asRoot<T>(start: (way: Way) => Promise<T>, ask: Ask, action: string): Promise<T> {
    const setting = elevationSetting();
    const ways = waysFor(setting, {
      machine: thisMachine,
      listen: this.#listen,
      ask,
      programs: this.#programs,
      action,
    });
    return elevate(ways, start, (said) => this.log.info(`${said} (“diskloom.elevation” is “${setting}”)`));
  }

  async #runInstaller(deed: Deed): Promise<void> {
    const start = (way: Way) => runInstaller(way, this.#programs, deed);
    this.log.info(doneOf(await this.#asRoot(start, askByBox(false), ANY_PROGRAM), deed));
  }

  /** @throws Failure where the user doesn't want that, too */
  async #replace(installed: string): Promise<void> {
    if (!(await askToReplace(installed))) {
      const why = vscode.l10n.t(
        "Nothing was done: the privileged helper that is installed is {0}, and this is Diskloom {1}.",
        installed,
        DISKLOOM_VERSION,
      );
      throw new Failure("notPrivileged", `${why} ${vscode.l10n.t("Replace or uninstall it first.")}`);
    }
    await this.#runInstaller("install");
  }

  get #programs(): string {
    return dirname(this.helperPath);
  }

  /** @throws StartError where it isn't root after all */
  async #startRoot(start: () => Promise<RunningHelper>): Promise<Session> {
    const session = await this.#start(start);
    if (!session.isPrivileged) {
      await session.stop();
      throw new StartError("The helper was started to be root, but isn't.");
    }
    return session;
  }

  async #start(start: () => Promise<RunningHelper>): Promise<Session> {
    // Most of our code is what drives a helper: it isn't loaded while the extension is activated.
    const { Session } = await import("./session");
    const session = await Session.start(start, this.log, {
      devicesChanged: () => this.#devicesChanged.fire(),
      died: (dead) => void this.#restart(dead),
    });
    const { version = "", pid = 0, caller, privileged } = session.info ?? {};
    this.log.info(
      `Helper ${version} runs as process ${pid} for ${caller?.name}, ${privileged ? "as root" : "unprivileged"}.`,
    );
    if (this.#disposed) {
      // The window was closed while it was being started.
      await session.stop();
      throw new Failure("cancelled", vscode.l10n.t("Diskloom is being ended."));
    }
    if (thisMachine.isRoot()) {
      this.#setRoot(session);
    }
    return session;
  }

  async #restart(dead: Session): Promise<void> {
    if (this.#root === dead) {
      this.#setRoot(undefined);
    }
    if (this.#disposed || (await this.#current?.catch(() => undefined)) !== dead) {
      return;
    }
    this.log.error("The helper ended unexpectedly.");
    this.#current = undefined;
    const now = Date.now();
    this.#deaths = [...this.#deaths.filter((time) => now - time < MINUTE), now];
    if (this.#deaths.length <= MOST_RESTARTS) {
      await this.#any().catch((error) => this.log.error(error));
      this.#restarted.fire();
    }
    this.#devicesChanged.fire();
  }

  /** Whether devices would go with the helper: those that are to go with their last user, and have none yet. */
  async #isHolding(): Promise<boolean> {
    const { holds = 0 } = (await this.rootInfo().catch(() => undefined)) ?? {};
    return holds > 0;
  }

  /** Where we are root ourselves, another helper would be just as much, so there is nothing to win. */
  async #endIdle(): Promise<void> {
    if (!this.#root || thisMachine.isRoot()) {
      return;
    }
    try {
      this.log.info("The helper has had nothing to do as root for a while, and is ended.");
      await this.stopRoot();
    } catch (error) {
      this.log.error(`The idle helper can't be ended: ${error}`);
    }
  }

  #setRoot(session: Session | undefined): void {
    this.#root = session;
    if (session) {
      this.#idle.restart();
    } else {
      this.#idle.stop();
    }
    if (!this.#disposed) {
      this.#rootChanged.fire(session?.info);
    }
  }

  readonly #listen: Listener = (line) => {
    this.log.info(line);
    return false;
  };
}

function demandTrust(): void {
  if (!vscode.workspace.isTrusted) {
    throw new Failure(
      "notPrivileged",
      vscode.l10n.t("Diskloom does nothing as root in a workspace that you don't trust. Trust it first."),
    );
  }
}

function saidBy(error: unknown): string {
  return error instanceof StartError ? error.said : String(error);
}

function idleMinutes(): number {
  return vscode.workspace.getConfiguration("diskloom").get("idleMinutes", 15);
}

function elevationSetting(): Setting {
  const value = vscode.workspace.getConfiguration("diskloom").get("elevation");
  return settings.find((setting) => setting === value) ?? "auto";
}
