/*
 * A program that becomes root just as the extension does, but outside of VS Code: so that it can be started in ways that
 * a whole VS Code can't. It reads `Wish` from stdin and prints `Outcome`, both as JSON.
 */
import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import { createMessageConnection, StreamMessageReader, StreamMessageWriter } from "vscode-jsonrpc/node";
import { elevate, type Setting, waysFor } from "../../extension/helper/elevation";
import { Failure } from "../../extension/helper/failure";
import { thisMachine } from "../../extension/helper/machine";
import { ANY_PROGRAM } from "../../extension/helper/polkit";
import { helperCommand } from "../../extension/helper/runtime";
import { StartError, type Way } from "../../extension/helper/way";

export interface Wish {
  helper: string;
  setting: Setting;
  /** What is answered where it is asked for. */
  password: string;
}

export interface Outcome {
  /** The way that worked, and the user that the helper runs as. */
  by?: string;
  uid?: number;
  /** What the user is told where none did. */
  failure?: string;
  log: string[];
  /** How often a password was asked for. */
  asked: number;
}

async function start(way: Way, path: string): Promise<Pick<Outcome, "by" | "uid">> {
  const helper = await way.start(helperCommand(path)).catch((error: unknown) => {
    throw new StartError(String(error));
  });
  const connection = createMessageConnection(
    new StreamMessageReader(helper.output),
    new StreamMessageWriter(helper.input),
  );
  connection.onError(() => {});
  connection.onNotification(() => {});
  connection.listen();
  try {
    const closed = new Promise<never>((_, reject) => connection.onClose(reject));
    const asked = async () => {
      await connection.sendRequest("initialize", { processId: null, rootUri: null, capabilities: {} });
      return await connection.sendRequest<{ uid: number }>("helper/info", {});
    };
    const { uid } = await Promise.race([asked(), closed]);
    return { by: way.name, uid };
  } catch {
    helper.close();
    await helper.ended;
    throw new StartError(helper.said().trim());
  } finally {
    connection.dispose();
    helper.close();
  }
}

async function main(): Promise<void> {
  const { helper, setting, password }: Wish = JSON.parse(readFileSync(0, "utf8"));
  const outcome: Outcome = { log: [], asked: 0 };
  const ways = waysFor(setting, {
    machine: thisMachine,
    listen: () => false,
    ask: async () => {
      outcome.asked++;
      return password;
    },
    programs: dirname(helper),
    action: ANY_PROGRAM,
  });
  try {
    const { by, uid } = await elevate(
      ways,
      (way) => start(way, helper),
      (said) => outcome.log.push(said),
    );
    Object.assign(outcome, { by, uid });
  } catch (error) {
    if (!(error instanceof Failure)) {
      throw error;
    }
    outcome.failure = error.message;
  }
  process.stdout.write(`${JSON.stringify(outcome)}\n`);
}

void main();
