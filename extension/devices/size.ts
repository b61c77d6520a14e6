/* Sizes as people type them, "1MiB", "64 K", "512s", "65536", and what is wrong with them. */
import { l10n } from "vscode";
import { formatSize } from "./format";

/** A sector as the kernel counts them, whatever a device's own sectors are; bytes. */
export const SECTOR = 512;

const FACTORS = new Map([
  ["", 1],
  ["B", 1],
  ["S", SECTOR],
  ...["K", "M", "G", "T"].flatMap((unit, index): [string, number][] => {
    const factor = 1024 ** (index + 1);
    return [
      [unit, factor],
      [`${unit}IB`, factor],
    ];
  }),
]);

/**
 * Bytes. Units are those of 1024, and "s" for sectors of 512 bytes; without one the number is of bytes. Units of 1000
 * such as "MB" are none, as they are as often meant to be those of 1024.
 * @returns `undefined` where the text is no size, or not one of whole bytes
 */
export function parseSize(text: string): number | undefined {
  const [, value, unit = ""] = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(text) ?? [];
  const bytes = Number(value) * (FACTORS.get(unit.toUpperCase()) ?? Number.NaN);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** @param imageSize bytes, where it is known @returns what is wrong, in a sentence */
export function offsetObjection(text: string, imageSize: number | undefined): string | undefined {
  const offset = parseSize(text);
  if (offset === undefined) {
    return l10n.t("Write a whole number of bytes, or one with a unit such as 1MiB or 2048s.");
  }
  if (imageSize !== undefined && offset > imageSize - SECTOR) {
    return l10n.t("The image ends before that: it has {0} ({1} bytes).", formatSize(imageSize), imageSize);
  }
  return undefined;
}

/** @param room bytes from the offset to the image's end, where that is known @returns what is wrong, in a sentence */
export function sizeObjection(text: string, room: number | undefined): string | undefined {
  if (text.trim() === "") {
    return undefined;
  }
  const size = parseSize(text);
  if (size === undefined || size === 0) {
    return l10n.t("Write a number of bytes, or one with a unit such as 64MiB or 131072s, or nothing.");
  }
  if (size % SECTOR !== 0) {
    return l10n.t("The size must be a multiple of {0} bytes.", SECTOR);
  }
  if (room !== undefined && size > room) {
    return l10n.t("The image has only {0} ({1} bytes) from there on.", formatSize(room), room);
  }
  return undefined;
}
