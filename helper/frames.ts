/* Reading messages framed by a header with their length, no faster than they can be answered. */
import type { Readable } from "node:stream";
import { AbstractMessageReader, type DataCallback, type Disposable, type Message } from "vscode-jsonrpc/node";

/** The longest message that is read, and the longest header before one; bytes. No request is near to them. */
const LONGEST_MESSAGE = 1 << 20;
const LONGEST_HEADER = 4096;
/** What is read ahead of a message that can't be taken yet, so that the end of stdin is seen all the same; bytes. */
const MOST_AHEAD = 2 * LONGEST_MESSAGE;
const HEADER_END = "\r\n\r\n";

/** What came is no JSON, or not in a frame. */
class ParseError extends Error {}

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
  #chunks: Buffer[] = [];
  #length = 0;
  /** The length of the message whose header has been read. */
  #expected: number | undefined;
  #state: "idle" | "busy" | "blocked" = "idle";
  #atEnd = false;

  /** @param ended called at the end of the stream, after what came before */
  constructor(
    readonly stream: Readable,
    readonly outlet: Outlet,
    readonly ended: () => void,
  ) {
    super();
  }

  listen(callback: DataCallback): Disposable {
    const read = (bytes: Buffer) => {
      this.#chunks.push(bytes);
      this.#length += bytes.length;
      if (this.#length > MOST_AHEAD) {
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
    return { dispose: () => this.stream.off("data", read) };
  }

  #pump(callback: DataCallback): void {
    if (this.#state !== "idle") {
      return;
    }
    try {
      const message = this.#next();
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
    this.#chunks = [];
    this.#length = 0;
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

  /** The next message that has come whole. @throws ParseError where what came is in no frame */
  #next(): Buffer | undefined {
    if (this.#expected === undefined) {
      const received = this.#whole();
      const end = received.indexOf(HEADER_END);
      if (end > LONGEST_HEADER || (end < 0 && received.length > LONGEST_HEADER)) {
        throw new ParseError(`No header of at most ${LONGEST_HEADER} bytes before a message.`);
      }
      if (end < 0) {
        return undefined;
      }
      this.#expected = lengthIn(received.toString("latin1", 0, end));
      this.#keep(received.subarray(end + HEADER_END.length));
    }
    if (this.#length < this.#expected) {
      return undefined;
    }
    const received = this.#whole();
    const message = received.subarray(0, this.#expected);
    this.#keep(received.subarray(this.#expected));
    this.#expected = undefined;
    return message;
  }

  /** All that has come, in one piece. Not made before a message is whole: one in many pieces would be copied each time. */
  #whole(): Buffer {
    const [first, ...others] = this.#chunks;
    const whole = first && others.length === 0 ? first : Buffer.concat(this.#chunks);
    this.#chunks = [whole];
    return whole;
  }

  #keep(rest: Buffer): void {
    this.#chunks = [rest];
    this.#length = rest.length;
  }
}

function lengthIn(header: string): number {
  const length = Number(/^content-length:[ \t]*(\d{1,15})[ \t]*$/im.exec(header)?.[1]);
  if (!(length <= LONGEST_MESSAGE)) {
    throw new ParseError(`A header without a Content-Length of at most ${LONGEST_MESSAGE} bytes.`);
  }
  return length;
}

function parse(bytes: Uint8Array): Message {
  let message: unknown;
  try {
    message = JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch (error) {
    throw new ParseError(error instanceof Error ? error.message : String(error));
  }
  if (typeof message !== "object" || message === null || Array.isArray(message)) {
    throw new ParseError("A message is a JSON object.");
  }
  return message as Message;
}
