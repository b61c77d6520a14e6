/* No more at once than there is room for: what else is asked for waits for its turn. */

export class Room {
  #underWay = 0;
  readonly #waiting: (() => void)[] = [];

  /** @param most how many at once */
  constructor(readonly most: number) {}

  /** Begins at once or as soon as there is room for it, in the order of asking. */
  async enter<T>(body: () => Promise<T>): Promise<T> {
    if (this.#underWay < this.most) {
      this.#underWay++;
    } else {
      // The one that ends hands its place over, so that nobody slips in between.
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    try {
      return await body();
    } finally {
      const next = this.#waiting.shift();
      if (next) {
        next();
      } else {
        this.#underWay--;
      }
    }
  }
}

// koffi refuses more than 256 asynchronous calls at a time (max_async_calls).
const calls = new Room(128);

/** Makes an asynchronous call of koffi's, when there is room for it. */
export function whenRoom<T>(call: () => Promise<T>): Promise<T> {
  return calls.enter(call);
}
