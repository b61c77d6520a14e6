/* Reading messages no faster than they can be answered. */
import type { Readable } from "node:stream";
import { AbstractMessageReader, type DataCallback, type Disposable } from "vscode-jsonrpc/node";
import { LONGEST_MESSAGE, parse, type Received } from "./received";

/** What is read ahead of a message that can't be taken yet, so that the end of stdin is seen all the same; bytes. */
const MOST_AHEAD = 2 * LONGEST_MESSAGE;

/** Where answers go, and whether more of them can. */
export interface Outlet {
  readonly isFull: boolean;
  /** Called once, when it isn't full any more. */
  onRoom(callback: () => void): void;
}

/**
 * The library's own reader believes any length it is told, negative ones and those of terabytes included, and waits for
 * ever; and it reads whatever comes, though a client that sends and never reads would have us keep all the answers.
 * This one hands on one message at a time, and none while the outlet is full.
 */
export class FrameReader extends AbstractMessageReader {
  #state: "idle" | "busy" | "blocked" = "idle";
  #atEnd = false;

  /**
   * @param received what was read of the stream before
   * @param ended called at the end of the stream, after what came before
   */
  constructor(
    readonly stream: Readable,
    readonly received: Received,
    readonly outlet: Outlet,
    readonly ended: () => void,
  ) {
    super();
  }

  listen(callback: DataCallback): Disposable {
    const read = (bytes: Buffer) => {
      this.received.push(bytes);
      if (this.received.length > MOST_AHEAD) {
        this.stream.pause();
      }
      this.#pump(callback);
    };
    this.stream.on("data", read);
    this.stream.on("end", () => {
      this.#atEnd = true;
      if (this.#state !== "busy") {
        this.ended();
      }
    });
    this.stream.on("close", () => this.fireClose());
    this.stream.on("error", (error) => this.fireError(error));
    // It was paused when the first message had come.
    this.stream.resume();
    this.#pump(callback);
    return { dispose: () => this.stream.off("data", read) };
  }

  #pump(callback: DataCallback): void {
    if (this.#state !== "idle") {
      return;
    }
    try {
      const message = this.received.next();
      if (message) {
        this.#deliver(message, callback);
        this.#wait(callback);
        return;
      }
    } catch (error) {
      this.#lost(error);
      return;
    }
    this.stream.resume();
    if (this.#atEnd) {
      this.ended();
    }
  }

  /** The next message's turn is when this one has been looked at and there is room for an answer. */
  #wait(callback: DataCallback): void {
    const goOn = () => {
      this.#state = "idle";
      this.#pump(callback);
    };
    if (this.outlet.isFull) {
      this.#state = "blocked";
      this.outlet.onRoom(goOn);
      if (this.#atEnd) {
        this.ended();
      }
    } else {
      this.#state = "busy";
      setImmediate(() => (this.outlet.isFull ? this.#wait(callback) : goOn()));
    }
  }

  /** Where the next message begins can't be known any more. */
  #lost(error: unknown): void {
    this.fireError(error);
    this.received.clear();
    this.#state = "blocked";
    this.stream.destroy();
  }

  #deliver(message: Buffer, callback: DataCallback): void {
    try {
      // The library throws at some that are JSON, but no message: such as "$/cancelRequest" of nothing.
      callback(parse(message));
    } catch (error) {
      this.fireError(error);
    }
  }
}
