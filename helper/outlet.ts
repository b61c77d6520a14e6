/* Writing messages to a client that may not read them. */
import type { Writable } from "node:stream";
import { AbstractMessageWriter, Message, type MessageWriter } from "vscode-jsonrpc/node";
import { DEVICES_CHANGED } from "./codes";
import type { Outlet } from "./frames";
import { WrittenResult } from "./written";

/** Messages that wait to be read by the client; with as many, no further request is looked at. */
const MOST_WAITING = 64;

function encode(message: Message): Uint8Array {
  if (!Message.isResponse(message) || !(message.result instanceof WrittenResult)) {
    return Buffer.from(JSON.stringify(message));
  }
  const { result, ...rest } = message;
  return result.within(rest);
}

/**
 * Answers wait as long as they have to, as there are no more of them than there were requests. Of what is told unasked,
 * nothing waits behind a full outlet: progress and log are of no use later. That devices changed is told once there
 * is room, and once is enough.
 *
 * A message is handed to the kernel at once and in one piece. The library's own writer takes a turn of the event loop
 * before it, and two writes.
 */
export class BoundedWriter extends AbstractMessageWriter implements MessageWriter, Outlet {
  #waiting = 0;
  #missed: Message | undefined;
  #forRoom: (() => void)[] = [];

  constructor(readonly stream: Writable) {
    super();
    stream.on("error", (error) => this.fireError(error));
    stream.on("close", () => this.fireClose());
  }

  get isFull(): boolean {
    return this.#waiting >= MOST_WAITING;
  }

  onRoom(callback: () => void): void {
    this.#forRoom.push(callback);
  }

  async write(message: Message): Promise<void> {
    if (this.isFull && Message.isNotification(message)) {
      this.#missed = message.method === DEVICES_CHANGED ? message : this.#missed;
      return;
    }
    this.#waiting++;
    try {
      await this.#send(encode(message));
    } finally {
      this.#waiting--;
      if (Message.isResponse(message) && message.result instanceof WrittenResult) {
        message.result.release();
      }
      if (!this.isFull) {
        this.#makeUp();
      }
    }
  }

  end(): void {
    this.stream.end();
  }

  #send(content: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.stream.cork();
      this.stream.write(`Content-Length: ${content.length}\r\n\r\n`, "latin1");
      this.stream.write(content, (error) => (error ? reject(error) : resolve()));
      this.stream.uncork();
    });
  }

  #makeUp(): void {
    const missed = this.#missed;
    this.#missed = undefined;
    if (missed) {
      void this.write(missed).catch(() => {});
    }
    for (const callback of this.#forRoom.splice(0)) {
      callback();
    }
  }
}
