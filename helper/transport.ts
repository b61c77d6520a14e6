/* JSON-RPC over our stdin and stdout. */
import { createMessageConnection, ErrorCodes, type MessageConnection } from "vscode-jsonrpc/node";
import { FrameReader } from "./frames";
import { BoundedWriter } from "./outlet";
import type { Received } from "./received";

/**
 * @param received what was read of stdin before
 * @param ended called when no more requests can come, or no more answers go
 */
export function connect(received: Received, ended: () => void): MessageConnection {
  const writer = new BoundedWriter(process.stdout);
  const reader = new FrameReader(process.stdin, received, writer, ended);
  // The library drops what it can't parse; the client is to know that it will get no answer.
  reader.onError(({ message }) => {
    void writer
      .write({ jsonrpc: "2.0", id: null, error: { code: ErrorCodes.ParseError, message } } as never)
      .catch(() => {});
  });
  const connection = createMessageConnection(reader, writer);
  connection.onClose(ended);
  process.stdout.on("error", ended);
  return connection;
}
