/* crypt: a stretch of a device, encrypted. Documentation/admin-guide/device-mapper/dm-crypt.rst */
import { type Sectors, sectors } from "../../linux/dm";
import { extentAt, formatPlace, type Place, replaceIn, type TargetKind, withCount } from "./target";

/** "cipher key ivOffset device offset [count option…]" */
export interface Crypt extends Place {
  cipher: string;
  /** Hexadecimal, "-" for none, or ":size:type:description" of one in the kernel's keyring. Shown to nobody. */
  key: string;
  ivOffset: Sectors;
  options: string[];
}

export const crypt: TargetKind<Crypt> = {
  type: "crypt",
  parse(words, { length }) {
    const target = {
      cipher: words.word("the cipher"),
      key: words.word("the key"),
      ivOffset: words.sectors("the offset of the initial vector"),
      ...words.place("the device"),
      options: words.counted("options"),
    };
    if (!/^(-|([0-9a-f]{2})+|:\d+:\w+:\S+)$/i.test(target.key)) {
      throw words.problem("the key is neither hexadecimal nor one of the kernel's keyring");
    }
    // A table that was shown and is loaded again: it would be taken, and what is written with it is lost.
    if (/^0+$/.test(target.key)) {
      throw words.problem("the key is all zeros, which is what is shown in the place of the real one");
    }
    const sectorSize = Number(/^sector_size:(\d+)$/.exec(optionOf(target.options, "sector_size"))?.[1] ?? 512);
    if (![512, 1024, 2048, 4096].includes(sectorSize) || length % (sectorSize / 512) !== 0) {
      throw words.problem("the sector size is not 512, 1024, 2048 or 4096, or doesn't divide the target's length");
    }
    return target;
  },
  format: (target) => [
    target.cipher,
    target.key,
    String(target.ivOffset),
    ...formatPlace(target),
    ...withCount(target.options),
  ],
  // Room for authentication tags ("integrity:") is not on this device, but in the one below's own metadata.
  extents: (target, { length }) => [extentAt(target, sectors(length))],
  withDevices: (target, replace) => ({ ...target, ...replaceIn(target, replace) }),
};

function optionOf(options: readonly string[], name: string): string {
  return options.find((option) => option.startsWith(`${name}:`)) ?? "";
}
