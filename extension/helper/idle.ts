/* Telling when a helper that is root has had nothing to do for so long that it should be none any more. */

const MINUTE = 60_000;
/** Timers can't be set for longer than 2^31 milliseconds. */
const LONGEST = 2 ** 31 - 1;

export class IdleTimer {
  #underWay = 0;
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param minutes 0: never
   * @param expired called each time that it was idle for so long
   */
  constructor(
    readonly minutes: () => number,
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

  get isBusy(): boolean {
    return this.#underWay > 0;
  }

  /** Begins to wait anew. */
  restart(): void {
    this.stop();
    const minutes = this.minutes();
    if (this.#underWay === 0 && minutes > 0) {
      this.#timer = setTimeout(this.expired, Math.min(minutes * MINUTE, LONGEST));
    }
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
