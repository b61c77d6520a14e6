/*
 * Writing each message in one piece. The library's own writer hands over the header first and waits until it is written:
 * the helper is woken twice for every request.
 */
import type { Writable } from "node:stream";
import type { Message, MessageWriter } from "vscode-jsonrpc/node";

/** @param writer one of the library's for this stream: it goes on telling of the stream's errors and its end */
export function inWholeMessages(writer: MessageWriter, stream: Writable): MessageWriter {
  writer.write = (message: Message) => {
    const content = JSON.stringify(message);
    const whole = `Content-Length: ${Buffer.byteLength(content)}\r\n\r\n${content}`;
    return new Promise((resolve, reject) => {
      stream.write(whole, (error) => (error ? reject(error) : resolve()));
    });
  };
  return writer;
}
