/*
 * All that the helper is, but for its greeting: a bundle of its own, read once that is on its way. What of it isn't
 * needed is not evaluated.
 */
import { LISTING_THREAD } from "./codes";
import type { Received } from "./received";

// Each thread has a copy of all that it loads. That it is asked by argument spares every start a module.
if (process.argv[2] === LISTING_THREAD) {
  void import("./listingThread").then(({ answerQuestions }) => answerQuestions());
}

/** Serves the client, as `serve` in stdio.ts. */
export async function serve(received: Received, greeted: boolean): Promise<void> {
  (await import("./stdio")).serve(received, greeted);
}
