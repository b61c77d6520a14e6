/*
 * Messages for the helper, valid ones and what becomes of them, always the same for the same seed. None of them could
 * do harm if it were obeyed: whatever names a path, a device or a target is within a folder of the test's own or doesn't
 * exist.
 */

export type Random = () => number;

/** Numbers from 0 up to 1, the same for the same seed (mulberry32). */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Beyond the highest minor number that there can be. */
const NO_LOOP = "/dev/loop9999999";
const NO_MAPPER = "/dev/mapper/diskloom-fuzz-none";
const NO_TARGET = "no-such-target";

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** One valid request of every kind. @param folder with "empty" in it, an empty file */
function seeds(folder: string): { method: string; params: Json }[] {
  const loop = { device: NO_LOOP, diskSequence: 7, confirmForeign: false };
  const mapper = { device: NO_MAPPER, diskSequence: null, confirmForeign: true };
  const table = [{ startSectors: 0, lengthSectors: 8, type: NO_TARGET, params: "" }];
  const path = `${folder}/empty`;
  const attach = { path, readOnly: "auto", offset: 0, sizeLimit: 0, sectorSize: "probe", partitionScan: true };
  return [
    { method: "helper/info", params: {} },
    {
      method: "loop/attach",
      params: { ...attach, directIo: "auto", autoclear: false, reference: "r", overlap: "share" },
    },
    { method: "loop/attach", params: { path: `${folder}/none`, device: NO_LOOP, inMemory: true, workDoneToken: 1 } },
    { method: "image/inspect", params: { path, offset: 512, sectorSize: 4096 } },
    { method: "loop/detach", params: { ...loop, whenBusy: "lazy", remove: true, workDoneToken: "t" } },
    { method: "loop/flush", params: { device: NO_LOOP, diskSequence: 7, dropCache: true } },
    { method: "loop/update", params: { ...loop, offset: 512, sizeLimit: 1024, sectorSize: 512, autoclear: true } },
    { method: "loop/resize", params: loop },
    { method: "loop/remove", params: { device: NO_LOOP } },
    { method: "partition/rescan", params: loop },
    { method: "partition/resize", params: { ...loop, device: `${NO_LOOP}p1`, start: 0, size: 512 } },
    { method: "mapper/create", params: { name: "diskloom-fuzz-none", uuid: "u", readOnly: true, table } },
    { method: "mapper/load", params: { ...mapper, table } },
    { method: "mapper/suspend", params: { ...mapper, flush: true, freeze: false } },
    { method: "mapper/rename", params: { ...mapper, name: "diskloom-fuzz-other" } },
    { method: "mapper/remove", params: { ...mapper, whenBusy: "deferred" } },
    { method: "mapper/message", params: { ...mapper, sector: 1, message: "m" } },
    { method: "mount/mount", params: { device: NO_LOOP, target: `${folder}/none`, options: ["ro"] } },
    { method: "mount/unmount", params: { target: `${folder}/none`, lazy: true } },
    { method: "$/cancelRequest", params: { id: 3 } },
  ];
}

const strange: Json[] = [
  ...[null, true, false, 0, -1, 1, 0.5, 2 ** 31, 2 ** 53 - 1, 2 ** 53, 1e308, -0, 511, 513],
  ...[
    "",
    "\0",
    "a\0b",
    "\u2028",
    "\ud800",
    "__proto__",
    "constructor",
    "x".repeat(5000),
    "auto",
    "😀",
    "%s%n",
    "$(id)",
  ],
  ...[[], {}, [[]], [null], { __proto__: null }, { toString: 1 }, { length: -1 }, { "": [] }],
];
const names = ["device", "path", "id", "method", "params", "jsonrpc", "error", "result", "workDoneToken", "__proto__"];

/** Makes message after message. */
export class Mutator {
  readonly #seeds: ReturnType<typeof seeds>;
  #id = 0;

  constructor(
    readonly random: Random,
    readonly folder: string,
  ) {
    this.#seeds = seeds(folder);
  }

  /** The next message's bytes, without a frame. */
  next(): Buffer {
    for (;;) {
      const message: Json = { jsonrpc: "2.0", id: this.#id++, ...structuredClone(this.#pick(this.#seeds)) };
      let mutated: Json = message;
      for (let times = this.#below(4); times > 0; times--) {
        mutated = this.#mutate(mutated);
      }
      const bytes = Buffer.from(this.random() < 0.3 ? this.#garble(JSON.stringify(mutated)) : JSON.stringify(mutated));
      if (this.#isHarmless(bytes)) {
        return bytes;
      }
    }
  }

  #below(limit: number): number {
    return Math.floor(this.random() * limit);
  }

  #pick<T>(choices: readonly T[]): T {
    return choices[this.#below(choices.length)] as T;
  }

  /** Changes something somewhere in the tree. */
  #mutate(value: Json): Json {
    if (typeof value !== "object" || value === null || this.random() < 0.1) {
      return this.#replacement(value);
    }
    const keys = Object.keys(value);
    const key = this.#pick(keys) ?? "";
    const copy: Record<string, Json> = Object.assign(Array.isArray(value) ? [] : {}, value) as never;
    switch (this.#below(6)) {
      case 0:
        delete copy[key];
        return copy as Json;
      case 1:
        Object.defineProperty(copy, this.#pick(names), { value: this.#pick(strange), enumerable: true });
        return copy as Json;
      case 2:
        copy[this.#pick(keys) ?? "0"] = copy[key] ?? null;
        return copy as Json;
      default:
        copy[key] = this.#mutate(copy[key] ?? null);
        return copy as Json;
    }
  }

  #replacement(value: Json): Json {
    if (typeof value === "number" && this.random() < 0.5) {
      return value + this.#pick([1, -1, 0.5, 511, 2 ** 32, 2 ** 52]);
    }
    if (typeof value === "string" && this.random() < 0.5) {
      const at = this.#below(value.length + 1);
      return value.slice(0, at) + this.#pick(["", "\0", "/", "é", "\n", "0", value]) + value.slice(at + this.#below(3));
    }
    return this.#pick(strange);
  }

  /** Changes bytes without regard to what they mean. */
  #garble(text: string): Buffer {
    const bytes = Buffer.from(text);
    for (let times = 1 + this.#below(3); times > 0 && bytes.length > 0; times--) {
      bytes[this.#below(bytes.length)] = this.#below(256);
    }
    return this.random() < 0.2 ? bytes.subarray(0, this.#below(bytes.length)) : bytes;
  }

  /** Read as the helper reads it. What isn't JSON, it can't obey. */
  #isHarmless(bytes: Buffer): boolean {
    let message: Json;
    try {
      message = JSON.parse(bytes.toString("utf8"));
    } catch {
      return true;
    }
    if (typeof message !== "object" || message === null || Array.isArray(message)) {
      return true;
    }
    // Those end the session, as they should.
    const { method } = message;
    return method !== "exit" && method !== "shutdown" && this.#areHarmless(message);
  }

  #areHarmless(value: Json): boolean {
    if (typeof value === "string") {
      const isOurs = value.startsWith(`${this.folder}/`) && !value.includes("..");
      return !value.includes("/dev/") && !value.startsWith("/")
        ? true
        : isOurs || value === NO_MAPPER || new RegExp(`^${NO_LOOP}(p\\d*)?$`).test(value);
    }
    if (typeof value !== "object" || value === null) {
      return true;
    }
    // A table that the kernel could load.
    if (!Array.isArray(value) && "startSectors" in value && value.type !== NO_TARGET) {
      return false;
    }
    return Object.values(value).every((part) => this.#areHarmless(part));
  }
}
