/* Tables of mapper devices as text, in the form that dmsetup reads and writes. */
import { l10n } from "vscode";
import type { MapperTarget } from "../../helper/protocol";
import { Failure } from "../helper/failure";

/** A table as `dmsetup table` writes it, a line for each target: "0 2048 linear 7:0 0". */
export function formatTable(table: readonly MapperTarget[]): string {
  return table
    .map(({ startSectors, lengthSectors, type, params }) =>
      `${startSectors} ${lengthSectors} ${type} ${params}`.trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join("");
}

/**
 * A table from the text that `dmsetup create` takes: empty lines and what follows a "#" don't count.
 * @throws Failure with the number of the line, and never with its text, which may hold a key
 */
export function parseTable(text: string): MapperTarget[] {
  return text.split("\n").flatMap((line, index) => {
    const meant = line.replace(/#.*/, "").trim();
    if (meant === "") {
      return [];
    }
    const [, start, length, type = "", params = ""] = /^(\d+)\s+(\d+)\s+(\S+)(?:\s+(.*))?$/.exec(meant) ?? [];
    const target = { startSectors: Number(start), lengthSectors: Number(length), type, params };
    if (!Number.isSafeInteger(target.startSectors) || !Number.isSafeInteger(target.lengthSectors)) {
      throw new Failure(
        "invalid",
        l10n.t(
          "Line {0} of the table is not of the form: start, length (both in sectors), target and its parameters.",
          index + 1,
        ),
      );
    }
    return [target];
  });
}
