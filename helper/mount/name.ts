/* Names of folders out of labels of file systems, which anybody may have written. */

// NAME_MAX in <linux/limits.h> is 255; a number may follow.
const LONGEST = 200;

/**
 * A label as the name of a folder: one that needs no escaping, leads nowhere else, isn't hidden and can be shown.
 * @returns at most 200 bytes; "" where nothing of it is left
 */
export function safeName(label: string): string {
  const shown = label
    .replace(/[\p{C}\p{Zl}\p{Zp}/\\]/gu, "_")
    .trim()
    .replace(/^\.+/, (dots) => "_".repeat(dots.length));
  let name = "";
  for (const character of shown) {
    if (Buffer.byteLength(name + character) > LONGEST) {
      break;
    }
    name += character;
  }
  return name.trim();
}
