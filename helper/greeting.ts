/*
 * The answer to `initialize`, which a client waits for before it asks anything else: given before the library and the
 * engine are loaded.
 */
import { framed, parse, Received } from "./received";

/** What `initialize` is answered. */
export const greeting = { capabilities: {}, serverInfo: { name: "diskloom-helper", version: DISKLOOM_VERSION } };

/**
 * Reads the first message, and answers it if it is `initialize`.
 *
 * @param goOn called after that, with what has come and isn't answered, and with whether `initialize` was
 */
export function greet(goOn: (received: Received, greeted: boolean) => void): void {
  const { stdin, stdout } = process;
  const chunks: Buffer[] = [];
  let received = new Received();
  // There is nothing yet to be finished.
  const leave = () => process.exit(0);
  const read = (bytes: Buffer) => {
    chunks.push(bytes);
    received.push(bytes);
    const answer = answerTo(received);
    if (answer === undefined) {
      return;
    }
    stdin.off("data", read).pause();
    if (answer === "another") {
      received = new Received();
      chunks.forEach((chunk) => {
        received.push(chunk);
      });
    } else {
      stdout.write(answer);
    }
    // By then the answer is written.
    setImmediate(() => {
      stdin.off("end", leave).off("error", leave);
      stdout.off("error", leave);
      goOn(received, answer !== "another");
    });
  };
  stdin.on("data", read).on("end", leave).on("error", leave);
  stdout.on("error", leave);
}

/** `undefined` until a message has come whole; of those that aren't for us, what is wrong with them is told later. */
function answerTo(received: Received): string | undefined {
  try {
    const bytes = received.next();
    if (!bytes) {
      return undefined;
    }
    const { id, method } = parse(bytes) as { id?: unknown; method?: unknown };
    const isOurs = method === "initialize" && (typeof id === "string" || typeof id === "number");
    return isOurs ? framed(JSON.stringify({ jsonrpc: "2.0", id, result: greeting })) : "another";
  } catch {
    return "another";
  }
}
