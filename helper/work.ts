/** What a request that can take long is done under: it can be cancelled, and says how far it is. */
export interface Work {
  readonly signal: AbortSignal;
  /** @param percentage 0 to 100, left out where it can't be told */
  report(message: string, percentage?: number): void;
}
