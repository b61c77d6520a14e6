/* Writing messages to a client that may not read them. */
import type { Writable } from "node:stream";
import { AbstractMessageWriter, Message, type MessageWriter, type ResponseMessage } from "vscode-jsonrpc/node";
import { DEVICES_CHANGED } from "./codes";
import type { Outlet } from "./frames";
import { framed, header } from "./received";
import { WrittenResult } from "./written";

/** Messages that wait to be read by the client; with as many, no further request is looked at. */
const MOST_WAITING = 64;

function isWritten(message: Message): message is ResponseMessage & { result: WrittenResult } {
  return Message.isResponse(message) && message.result instanceof WrittenResult;
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
      await new Promise<void>((resolve, reject) => {
        this.#send(message, (error) => (error ? reject(error) : resolve()));
      });
    } finally {
      this.#waiting--;
      if (isWritten(message)) {
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

  #send(message: Message, done: (error?: Error | null) => void): void {
    if (!isWritten(message)) {
      this.stream.write(framed(JSON.stringify(message)), done);
      return;
    }
    const { result, ...rest } = message;
    const content = result.within(rest);
    this.stream.cork();
    this.stream.write(header(content.length), "latin1");
    this.stream.write(content, done);
    this.stream.uncork();
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
