/* What all ways to a helper have in common: they end in one whose stdin and stdout are ours. */
import type { Readable, Writable } from "node:stream";
import type { Command } from "./runtime";

/** A helper that runs, or is about to: whatever is written to it before is read once it does. */
export interface RunningHelper {
  /** Its stdin and stdout. */
  readonly input: Writable;
  readonly output: Readable;
  /** The end of what it, or what was to make it root, has said on stderr. */
  said(): string;
  /** Resolves once it has ended and all that it said is known. */
  readonly ended: Promise<void>;
  /** It has answered: what was only there to start it can go. */
  started?(): void;
  /** Closes its stdin, which ends it, and takes away all that was there for it. Can be called twice. */
  close(): void;
}

/** Why a way failed, in a sentence with a next step. */
export interface Refusal {
  /** `next`: another way may work all the same; `end`: the user has had their say; `cancelled`: and said no. */
  kind: "next" | "end" | "cancelled";
  advice: string;
}

/** One way to a helper that is root; made anew for each try. */
export interface Way {
  /** For the log: "sudo without a password". */
  readonly name: string;
  /** Why it can't work here, in a sentence with a next step; `undefined` where it can. */
  obstacle(): Promise<string | undefined>;
  start(helper: Command): Promise<RunningHelper>;
  /** @param said what was said on stderr before it ended */
  refusal(said: string): Refusal;
}

/** The helper couldn't be started; `said` is what it, or what was to make it root, wrote. */
export class StartError extends Error {
  constructor(readonly said: string) {
    super(said);
  }
}
