/* Telling when a helper that is root has had nothing to do for so long that it should be none any more. */

const MINUTE = 60_000;
/** Timers can't be set for longer than 2^31 milliseconds. */
const LONGEST = 2 ** 31 - 1;

export class IdleTimer {
  #underWay = 0;
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param minutes 0: never
   * @param isNeeded asked when it was idle for so long, and again after as long a time where it has to stay
   * @param expired called each time that it was idle for so long, and isn't needed
   */
  constructor(
    readonly minutes: () => number,
    readonly isNeeded: () => Promise<boolean>,
    readonly expired: () => void,
  ) {}

  /** Counts a request, from its beginning to its end. */
  async during<T>(request: () => Promise<T>): Promise<T> {
    this.#underWay++;
    this.stop();
    try {
      return await request();
    } finally {
      this.#underWay--;
      this.restart();
    }
  }

  /** Begins to wait anew. */
  restart(): void {
    this.stop();
    const minutes = this.minutes();
    if (this.#underWay === 0 && minutes > 0) {
      this.#timer = setTimeout(() => void this.#expire(), Math.min(minutes * MINUTE, LONGEST));
    }
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  async #expire(): Promise<void> {
    this.#timer = undefined;
    const needed = await this.isNeeded();
    // A request may have come meanwhile; it is waited anew from its end on.
    if (this.#underWay === 0 && this.#timer === undefined) {
      if (needed) {
        this.restart();
      } else {
        this.expired();
      }
    }
  }
}
