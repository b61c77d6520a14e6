/* The helper as the extension starts it: stdin and stdout in, server out. It lives as long as its stdin. */
import type { Received } from "./received";
import { Session } from "./session";
import { connect } from "./transport";

/** As in sysexits.h. */
const EX_SOFTWARE = 70;

/**
 * @param received what was read of stdin before
 * @param greeted whether `initialize` was answered
 */
export function serve(received: Received, greeted: boolean): void {
  let ending = false;
  const end = (code: number) => {
    if (!ending) {
      ending = true;
      // What is under way is finished or undone. Devices that are to go with us go when our descriptors are closed.
      void session.settle().finally(() => process.exit(code));
    }
  };
  const connection = connect(received, () => end(0));
  const answer = async () => {
    try {
      return (await import("./server")).serve(connection);
    } catch (error) {
      return fail(error);
    }
  };
  const session = new Session(connection, greeted, answer, end);

  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
    process.on(signal, () => end(0));
  }
  // What we don't know the cause of may have left anything: the kernel cleans up after a process that is gone.
  process.on("uncaughtException", fail);
  connection.listen();
}

function fail(error: unknown): never {
  process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
  process.exit(EX_SOFTWARE);
}
