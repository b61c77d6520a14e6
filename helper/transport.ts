/* JSON-RPC over our stdin and stdout. */
import {
  createMessageConnection,
  ErrorCodes,
  type MessageConnection,
  StreamMessageReader,
  StreamMessageWriter,
} from "vscode-jsonrpc/node";

/** What came is no JSON, or not in a frame. */
class ParseError extends Error {}

/**
 * @param ended called when no more requests can come, or no more answers go
 */
export function connect(ended: () => void): MessageConnection {
  const reader = new StreamMessageReader(process.stdin, {
    charset: "utf-8",
    contentTypeDecoder: { name: "application/json", decode: async (bytes) => parse(bytes) },
  });
  const writer = new StreamMessageWriter(process.stdout);
  // The library drops what it can't parse; the client is to know that it will get no answer.
  reader.onError((error) => {
    const message = error instanceof ParseError ? error.message : `Not a framed message: ${error.message}`;
    void writer
      .write({ jsonrpc: "2.0", id: null, error: { code: ErrorCodes.ParseError, message } } as never)
      .catch(() => {});
  });
  const connection = createMessageConnection(reader, writer);
  connection.onClose(ended);
  process.stdin.on("end", ended);
  process.stdout.on("error", ended);
  return connection;
}

function parse(bytes: Uint8Array): never {
  try {
    return JSON.parse(Buffer.from(bytes).toString("utf8")) as never;
  } catch (error) {
    throw new ParseError(error instanceof Error ? error.message : String(error));
  }
}
