/* The helper as the extension starts it: stdin and stdout in, server out. It lives as long as its stdin. */
import { Session } from "./session";
import { connect } from "./transport";

/** As in sysexits.h: EX_USAGE, EX_SOFTWARE. */
const USAGE = 64;
const SOFTWARE = 70;

export function serve(): void {
  if (process.argv[2] !== "--stdio" || process.argv.length !== 3) {
    process.stderr.write("Diskloom's helper is started by its VS Code extension: helper.js --stdio\n");
    process.exit(USAGE);
  }

  let ending = false;
  const end = (code: number) => {
    if (!ending) {
      ending = true;
      // What is under way is finished or undone. Devices that are to go with us go when our descriptors are closed.
      void session.settle().finally(() => process.exit(code));
    }
  };
  const connection = connect(() => end(0));
  // Most of what we are is loaded behind the first reply.
  const answer = async () => {
    try {
      return (await import("./server")).serve(connection);
    } catch (error) {
      return fail(error);
    }
  };
  const session = new Session(connection, answer, end);

  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
    process.on(signal, () => end(0));
  }
  // What we don't know the cause of may have left anything: the kernel cleans up after a process that is gone.
  process.on("uncaughtException", fail);
  connection.listen();
}

function fail(error: unknown): never {
  process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
  process.exit(SOFTWARE);
}
