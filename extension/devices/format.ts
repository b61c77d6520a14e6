/** Bytes as people read them: "64 MiB", "1.5 GiB", "512 B". */
export function formatSize(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  const digits = Number.isInteger(value) || value >= 100 ? 0 : 1;
  return `${value.toFixed(digits)} ${units[unit]}`;
}

/** The same, and how much it is exactly: "64 MiB (67,108,864 bytes)". */
export function sizeInFull(bytes: number): string {
  const exact = `${bytes.toLocaleString("en")} bytes`;
  return bytes < 1024 ? exact : `${formatSize(bytes)} (${exact})`;
}
