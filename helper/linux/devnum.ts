declare const devnumBrand: unique symbol;
/** A device's number as the kernel writes it in sysfs and mountinfo: "7:3". */
export type Devnum = string & { readonly [devnumBrand]: true };

/** From a dev_t, as stat(2) gives it and the loop driver in `lo_device`: 12 and 20 bits, interleaved (<linux/kdev_t.h>). */
export function devnum(device: bigint): Devnum {
  const major = (device >> 8n) & 0xfffn;
  const minor = (device & 0xffn) | ((device >> 12n) & 0xfff00n);
  return `${major}:${minor}` as Devnum;
}

/** From the text of a `dev` file in sysfs or a field of mountinfo. */
export function parseDevnum(text: string): Devnum {
  if (!/^\d+:\d+$/.test(text)) {
    throw new TypeError(`not a device number: ${JSON.stringify(text)}`);
  }
  return text as Devnum;
}

/** To a dev_t, as mknod(2) takes it. */
export function deviceOf(number: Devnum): bigint {
  const [major = "", minor = ""] = number.split(":");
  const low = BigInt(minor);
  return ((BigInt(major) & 0xfffn) << 8n) | (low & 0xffn) | ((low & 0xfff00n) << 12n);
}
