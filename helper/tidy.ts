/*
 * Collecting what answers leave behind. Left to itself, V8 does it when it takes the process for idle: up to three times,
 * 8 seconds and more after the last answer, which was all that an idle helper took of the processor.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/**
 * How long nothing is under way before that, in milliseconds: a client that goes on asking isn't held up, nor one that
 * comes back soon, as V8 throws some of what it has made of our code away with the rest.
 */
const REST = 5000;

export class Tidying {
  #underWay = 0;
  #timer: NodeJS.Timeout | undefined;
  #collect: (() => void) | undefined;
  #atRest = false;

  constructor() {
    setFlagsFromString("--expose-gc");
  }

  /** Collects once a while after the last of those that are under way has ended. */
  async after<T>(request: () => Promise<T>): Promise<T> {
    this.#underWay++;
    if (this.#atRest) {
      this.#atRest = false;
      setFlagsFromString("--incremental-marking");
    }
    try {
      return await request();
    } finally {
      this.#underWay--;
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#tidy(), REST).unref();
    }
  }

  #tidy(): void {
    if (this.#underWay === 0) {
      // Contexts have it that were made after the flag was set.
      this.#collect ??= runInNewContext("gc") as () => void;
      this.#collect();
      // V8 collects at idle in steps or not at all. That it shouldn't collect then is heeded only before it has begun.
      setFlagsFromString("--no-incremental-marking");
      this.#atRest = true;
    }
  }
}
