/* Show Table: a mapper device's table in an editor, in the form that `dmsetup create` takes. Keys are never in it. */
import * as vscode from "vscode";
import type { MapperDevice } from "../../helper/protocol";
import { formatTable } from "../devices/tableText";
import { Failure } from "../helper/failure";
import type { CommandContext } from "./context";
import { pickMapper } from "./pick";
import { showFailure } from "./run";

const HIDDEN_KEY = vscode.l10n.t(
  "The key of a crypt target is never shown. Put it in place of the zeros to create a device from this.",
);

export async function showTable(context: CommandContext, item?: unknown): Promise<void> {
  const picked = await pickMapper(context, vscode.l10n.t("Show Table of Device-Mapper Device"), item);
  if (!picked) {
    return;
  }
  try {
    const table = await tableOf(context, picked);
    const hidden = table.some(({ type }) => type === "crypt") ? `# ${HIDDEN_KEY}\n` : "";
    const content = hidden + formatTable(table);
    const document = await vscode.workspace.openTextDocument({ content, language: "plaintext" });
    await vscode.window.showTextDocument(document, { preview: true });
  } catch (error) {
    showFailure(context, error);
  }
}

// The list for the tree may come from a helper that isn't root, which can't see tables.
async function tableOf({ client }: CommandContext, { device }: MapperDevice): Promise<MapperDevice["table"]> {
  const { devices } = await client.request("devices/list", {}, { asRoot: true });
  const found = devices.find((candidate) => candidate.device === device);
  if (found?.kind !== "mapper") {
    throw new Failure("notFound", vscode.l10n.t("There is no device {0} any more.", device));
  }
  return found.table;
}
