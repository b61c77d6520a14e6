/* Writing messages to a client that may not read them. */
import { Message, StreamMessageWriter } from "vscode-jsonrpc/node";
import type { Outlet } from "./frames";
import { DEVICES_CHANGED } from "./protocol";
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
 */
export class BoundedWriter extends StreamMessageWriter implements Outlet {
  #waiting = 0;
  #missed: Message | undefined;
  #forRoom: (() => void)[] = [];

  constructor(stream: NodeJS.WritableStream) {
    super(stream, { contentTypeEncoder: { name: "application/json", encode: async (message) => encode(message) } });
  }

  get isFull(): boolean {
    return this.#waiting >= MOST_WAITING;
  }

  onRoom(callback: () => void): void {
    this.#forRoom.push(callback);
  }

  override async write(message: Message): Promise<void> {
    if (this.isFull && Message.isNotification(message)) {
      this.#missed = message.method === DEVICES_CHANGED ? message : this.#missed;
      return;
    }
    this.#waiting++;
    try {
      await super.write(message);
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
