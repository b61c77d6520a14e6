import { env, l10n } from "vscode";

/** As this VS Code's user writes numbers. */
let oneDigit: Intl.NumberFormat | undefined;

/** Bytes as people read them: "64 MiB", "1.5 GiB", "512 B". */
export function formatSize(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  if (Number.isInteger(value) || value >= 100) {
    return `${value.toFixed(0)} ${units[unit]}`;
  }
  // Making one takes longer than all else here.
  oneDigit ??= new Intl.NumberFormat(env.language, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
  return `${oneDigit.format(value)} ${units[unit]}`;
}

/** The same, and how much it is exactly: "64 MiB (67,108,864 bytes)". */
export function sizeInFull(bytes: number): string {
  const exact = l10n.t("{0} bytes", bytes.toLocaleString(env.language));
  return bytes < 1024 ? exact : `${formatSize(bytes)} (${exact})`;
}

/** "a", "a and b", "a and b and c". */
export function listed(names: readonly string[]): string {
  return names.length === 0 ? "" : names.reduce((before, name) => l10n.t("{0} and {1}", before, name));
}
