/* Waiting for a state of things, never for a time. */
import { setTimeout as pause } from "node:timers/promises";

/** Machines that run other tests beside ours are slow, now and then. */
const PATIENCE = 60_000;
const INTERVAL = 20;

/**
 * Looks until there is something to see, and returns it.
 * @param what is waited for; reads on after "waited in vain for"
 * @param look what it throws counts as not yet, and is told where nothing else ever came
 */
export async function until<T>(
  what: string,
  look: () => T | Promise<T>,
  patience = PATIENCE,
): Promise<Exclude<T, false | undefined | null | "" | 0>> {
  const end = performance.now() + patience;
  for (;;) {
    let cause: unknown;
    try {
      const seen = await look();
      if (seen) {
        return seen as Exclude<T, false | undefined | null | "" | 0>;
      }
    } catch (error) {
      cause = error;
    }
    if (performance.now() > end) {
      throw new Error(`Waited in vain for ${what}${cause ? `: ${cause}` : ""}`, { cause });
    }
    await pause(INTERVAL);
  }
}
