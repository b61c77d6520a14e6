/* The terminal of a task: what was done, line by line, and an exit code that says whether it was. */
import * as vscode from "vscode";
import type { CommandContext } from "../commands/context";
import { runAction, type TaskRun } from "./actions";
import { parseDefinition } from "./definition";

export class TaskTerminal implements vscode.Pseudoterminal {
  readonly #written = new vscode.EventEmitter<string>();
  readonly onDidWrite = this.#written.event;
  readonly #closed = new vscode.EventEmitter<number>();
  readonly onDidClose = this.#closed.event;
  readonly #cancellation = new vscode.CancellationTokenSource();

  /**
   * @param definition with its variables resolved
   * @param folder that paths in it are relative to
   */
  constructor(
    readonly context: CommandContext,
    readonly definition: vscode.TaskDefinition,
    readonly folder: string | undefined,
  ) {}

  open(): void {
    void this.#run().then((code) => this.#closed.fire(code));
  }

  /** The task was terminated. */
  close(): void {
    this.#cancellation.cancel();
  }

  async #run(): Promise<number> {
    const say = (line: string) => this.#written.fire(`${line}\r\n`);
    const { client, log } = this.context;
    const run: TaskRun = {
      request: (method, params) => client.request(method, params, { token: this.#cancellation.token }),
      undo: (method, params) => client.request(method, params),
      say,
    };
    try {
      await runAction(run, parseDefinition(this.definition, this.folder));
      return 0;
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      log.error(message);
      say(message);
      return 1;
    }
  }
}
