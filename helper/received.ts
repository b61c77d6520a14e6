/*
 * What has come from the client, and the messages in it: each framed by a header with its length. Nothing of the library
 * is in here, as the first message is answered before that is loaded.
 */
import type { Message } from "vscode-jsonrpc/node";

/** The longest message that is read, and the longest header before one; bytes. No request is near to them. */
export const LONGEST_MESSAGE = 1 << 20;
const LONGEST_HEADER = 4096;
const HEADER_END = "\r\n\r\n";

/** What came is no JSON, or not in a frame. */
class ParseError extends Error {}

export class Received {
  #chunks: Buffer[] = [];
  #length = 0;
  /** The length of the message whose header has been read. */
  #expected: number | undefined;

  /** Bytes that no message has been made of yet. */
  get length(): number {
    return this.#length;
  }

  push(bytes: Buffer): void {
    this.#chunks.push(bytes);
    this.#length += bytes.length;
  }

  clear(): void {
    this.#chunks = [];
    this.#length = 0;
  }

  /** The next message that has come whole. @throws ParseError where what came is in no frame */
  next(): Buffer | undefined {
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

/** Puts a message, which is JSON, into a frame. */
export function framed(json: string): string {
  return `${header(Buffer.byteLength(json))}${json}`;
}

/** What comes before a message. @param length bytes */
export function header(length: number): string {
  return `Content-Length: ${length}${HEADER_END}`;
}

function lengthIn(header: string): number {
  const length = Number(/^content-length:[ \t]*(\d{1,15})[ \t]*$/im.exec(header)?.[1]);
  if (!(length <= LONGEST_MESSAGE)) {
    throw new ParseError(`A header without a Content-Length of at most ${LONGEST_MESSAGE} bytes.`);
  }
  return length;
}

/** @throws ParseError where it isn't a message */
export function parse(bytes: Uint8Array): Message {
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
