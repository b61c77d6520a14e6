/* What every kind of target has: its parameters as text, and what they say. */
import { type DmTarget, type Sectors, sectors } from "../../linux/dm";
import { Problem } from "../../problem";

/** The part of a device that a target needs. */
export interface Extent {
  device: string;
  start: Sectors;
  length: Sectors;
  /** It is read alone, even where the target is written to. */
  onlyRead?: boolean;
}

/** A place on a device: the pair that most targets are written with. */
export interface Place {
  device: string;
  offset: Sectors;
}

/** The place of a target in its table. */
export type Span = Pick<DmTarget, "start" | "length">;

/** One kind of target. `T` is what its parameters say. */
export interface TargetKind<T> {
  readonly type: string;
  /** @throws Problem invalid */
  parse(words: Words, span: Span): T;
  format(target: T): string[];
  /** As many as are sure: a target may need more of a device than can be told from its parameters. */
  extents(target: T, span: Span): Extent[];
  /** The same with every device in it replaced. */
  withDevices(target: T, replace: (device: string) => string): T;
}

/** The words of a target's parameters, taken one by one. Errors name what was missing and not what was there. */
export class Words {
  readonly #words: string[];
  #next = 0;

  constructor(
    readonly type: string,
    params: string,
  ) {
    this.#words = params.split(/\s+/).filter((word) => word !== "");
  }

  get left(): number {
    return this.#words.length - this.#next;
  }

  word(what: string): string {
    const word = this.#words[this.#next];
    if (word === undefined) {
      throw this.problem(`${what} is missing`);
    }
    this.#next++;
    return word;
  }

  number(what: string): number {
    const word = this.word(what);
    const value = Number(word);
    if (!/^\d+$/.test(word) || !Number.isSafeInteger(value)) {
      throw this.problem(`${what} is not a number`);
    }
    return value;
  }

  sectors(what: string): Sectors {
    return sectors(this.number(what));
  }

  place(what: string): Place {
    return { device: this.word(what), offset: this.sectors(`the offset of ${what}`) };
  }

  /** "2 first second": features or options with their count before them. None at all where nothing is left. */
  counted(what: string): string[] {
    if (this.left === 0) {
      return [];
    }
    const count = this.number(`the number of ${what}`);
    if (count !== this.left) {
      throw this.problem(`there are ${this.left} ${what} where ${count} are announced`);
    }
    return this.rest();
  }

  rest(): string[] {
    const words = this.#words.slice(this.#next);
    this.#next = this.#words.length;
    return words;
  }

  end(): void {
    if (this.left > 0) {
      throw this.problem(`there are ${this.left} parameters too many`);
    }
  }

  problem(wrong: string): Problem {
    return new Problem("invalid", `The parameters of the ${this.type} target are wrong: ${wrong}.`);
  }
}

/** Features or options with their count before them, and nothing for none: as the kernel writes most of them. */
export function withCount(words: readonly string[]): string[] {
  return words.length === 0 ? [] : [String(words.length), ...words];
}

export function formatPlace({ device, offset }: Place): string[] {
  return [device, String(offset)];
}

export function extentAt({ device, offset }: Place, length: Sectors): Extent {
  return { device, start: offset, length };
}

export function replaceIn(place: Place, replace: (device: string) => string): Place {
  return { ...place, device: replace(place.device) };
}
