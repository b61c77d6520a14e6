import { setTimeout as sleep } from "node:timers/promises";
import type { Problem } from "./problem";

/** Thrown where a request was cancelled by the client. */
export class Cancelled extends Error {
  override readonly name = "Cancelled";
}

/** For what must be gone through with, however the request that began it ends: the undoing of a change. */
export const uninterrupted: AbortSignal = new AbortController().signal;

/** @throws Cancelled where the signal says so: to be asked before the step that can't be taken back */
export function throwIfCancelled(signal: AbortSignal): void {
  if (signal.aborted) {
    throw new Cancelled();
  }
}

/** Waits. @param milliseconds at least so long @throws Cancelled as soon as the signal says so */
export async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(milliseconds, undefined, { signal });
  } catch {
    throw new Cancelled();
  }
}

/**
 * Waits for something that the kernel can't be stopped from, such as writing down what is dirty: who cancels waits no
 * longer, and it goes on by itself.
 * @throws Cancelled as soon as the signal says so
 */
export async function orCancelled<T>(going: Promise<T>, signal: AbortSignal): Promise<T> {
  let stopWaiting = () => {};
  const cancelled = new Promise<never>((_, reject) => {
    stopWaiting = () => reject(new Cancelled());
  });
  signal.addEventListener("abort", stopWaiting);
  if (signal.aborted) {
    stopWaiting();
  }
  try {
    return await Promise.race([going, cancelled]);
  } finally {
    signal.removeEventListener("abort", stopWaiting);
  }
}

/** Waits for a random time, so that two who ran into each other don't do so again. @param most milliseconds */
export function pauseRandomly(most: number, signal: AbortSignal, least = 0): Promise<void> {
  return pause(least + Math.random() * (most - least), signal);
}

/**
 * Tries until `attempt` answers something else than `undefined`.
 * @param limit milliseconds after which it is given up with what `expired` says
 */
export async function retry<T>(
  attempt: () => T | undefined | Promise<T | undefined>,
  { limit, signal, expired }: { limit: number; signal: AbortSignal; expired: () => Problem | Promise<Problem> },
): Promise<T> {
  const end = performance.now() + limit;
  for (let most = 1; ; most = Math.min(most * 2, 100)) {
    const result = await attempt();
    if (result !== undefined) {
      return result;
    }
    if (performance.now() > end) {
      throw await expired();
    }
    await pauseRandomly(most, signal);
  }
}
