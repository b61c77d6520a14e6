/* Results that are JSON already, as a list of very many devices comes from another thread. */

/** Bytes left free before the JSON for the beginning of the message, so that nothing has to be copied together. */
export const HEADROOM = 256;
/** And behind it, for the message's end. */
export const TAILROOM = 1;

/** The result of a request in UTF-8, with room around it. */
export class WrittenResult {
  /**
   * @param bytes with the JSON from HEADROOM on
   * @param length the JSON's, in bytes
   * @param release called when it has been sent
   */
  constructor(
    readonly bytes: Uint8Array,
    readonly length: number,
    readonly release: () => void,
  ) {}

  /** The whole message, of which this is the last field: written around it, where there is room. */
  within(message: object): Uint8Array {
    const before = Buffer.from(`${JSON.stringify(message).slice(0, -1)},"result":`);
    const whole = this.bytes.subarray(0, HEADROOM + this.length + TAILROOM);
    whole[whole.length - 1] = "}".charCodeAt(0);
    if (before.length > HEADROOM) {
      return Buffer.concat([before, whole.subarray(HEADROOM)]);
    }
    const begin = HEADROOM - before.length;
    whole.set(before, begin);
    return whole.subarray(begin);
  }
}
