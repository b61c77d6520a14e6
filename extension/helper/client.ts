/*
 * The extension's side of the helper. It begins without rights, which is enough for the tree; the first request that
 * needs root starts an elevated helper, which takes over. One that dies is started again.
 */
import * as vscode from "vscode";
import type { Method, Params, Result } from "../../helper/protocol";
import { direct, isRoot } from "./direct";
import { Failure, failureOf } from "./failure";
import { helperCommand } from "./runtime";
import { type RequestOptions, Session, StartError } from "./session";
import { sudo, sudoAdvice } from "./sudo";

/** Requests that anybody's helper can answer. */
const UNPRIVILEGED: ReadonlySet<Method> = new Set(["helper/info", "devices/list"]);
/** A helper that dies more often than this within a minute isn't started again by itself. */
const MOST_RESTARTS = 3;
const MINUTE = 60_000;

export class HelperClient implements vscode.Disposable {
  readonly #devicesChanged = new vscode.EventEmitter<void>();
  readonly onDidChangeDevices = this.#devicesChanged.event;
  readonly #restarted = new vscode.EventEmitter<void>();
  /** The helper died and another one has taken its place. */
  readonly onDidRestart = this.#restarted.event;

  #current: Promise<Session> | undefined;
  #elevating: Promise<Session> | undefined;
  #deaths: number[] = [];
  #disposed = false;

  constructor(
    readonly helperPath: string,
    readonly log: vscode.LogOutputChannel,
  ) {}

  /** @throws Failure */
  async request<M extends Method>(method: M, params: Params<M>, options: RequestOptions = {}): Promise<Result<M>> {
    const session = await (UNPRIVILEGED.has(method) ? this.#any() : this.#privileged());
    try {
      return await session.request(method, params, options);
    } catch (error) {
      throw failureOf(error, session.hasEnded);
    }
  }

  dispose(): void {
    this.#disposed = true;
    void this.#current?.then((session) => session.stop()).catch(() => {});
    this.#devicesChanged.dispose();
    this.#restarted.dispose();
  }

  #any(): Promise<Session> {
    this.#current ??= this.#start(direct(helperCommand(this.helperPath))).catch((error) => {
      this.#current = undefined;
      throw new Failure("kernel", `Diskloom's helper doesn't start: ${saidBy(error)}`);
    });
    return this.#current;
  }

  /** Several requests at once become root once. */
  async #privileged(): Promise<Session> {
    const current = await this.#any();
    if (current.isPrivileged) {
      return current;
    }
    if (isRoot()) {
      throw new Failure("notPrivileged", "The helper was started by root, but isn't root. See the log.");
    }
    this.#elevating ??= this.#elevate(current).finally(() => {
      this.#elevating = undefined;
    });
    return this.#elevating;
  }

  async #elevate(before: Session): Promise<Session> {
    try {
      const elevated = await this.#start(sudo(helperCommand(this.helperPath)));
      this.#current = Promise.resolve(elevated);
      await before.stop();
      return elevated;
    } catch (error) {
      const said = saidBy(error);
      this.log.error(`sudo: ${said}`);
      throw new Failure("notPrivileged", `Diskloom needs root rights for that. ${sudoAdvice(said)}`);
    }
  }

  async #start(command: ReturnType<typeof helperCommand>): Promise<Session> {
    const session = await Session.start(command, this.log, {
      devicesChanged: () => this.#devicesChanged.fire(),
      died: (dead) => void this.#restart(dead),
    });
    const { version = "", pid = 0, caller, privileged } = session.info ?? {};
    this.log.info(
      `Helper ${version} runs as process ${pid} for ${caller?.name}, ${privileged ? "as root" : "unprivileged"}.`,
    );
    return session;
  }

  async #restart(dead: Session): Promise<void> {
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
}

function saidBy(error: unknown): string {
  return error instanceof StartError ? error.said : String(error);
}
