/* The helper as the extension starts it: stdin and stdout in, server out. It lives as long as its stdin. */
import { identifyCaller } from "./caller";
import { Changes } from "./changes";
import { Listing } from "./listing";
import { releaseUsed } from "./loop/held";
import { DEVICES_CHANGED } from "./protocol";
import { Server } from "./server";
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
      void server.settle().finally(() => process.exit(code));
    }
  };
  const connection = connect(() => end(0));
  const server = new Server(
    connection,
    identifyCaller(process.env),
    new Listing(__filename),
    () => changes?.noticed(),
    end,
  );
  const changes = watchKernel(server, async () => {
    await releaseUsed();
    await connection.sendNotification(DEVICES_CHANGED, {});
  });

  // Node can't exit while a thread waits for the kernel.
  process.on("exit", () => changes?.[Symbol.dispose]());
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
    process.on(signal, () => end(0));
  }
  // What we don't know the cause of may have left anything: the kernel cleans up after a process that is gone.
  process.on("uncaughtException", (error) => {
    process.stderr.write(`${error.stack}\n`);
    process.exit(SOFTWARE);
  });
  connection.listen();
}

/** Where the kernel gives no events (a container without a network of its own), the tree is refreshed by hand. */
function watchKernel(server: Server, tell: () => Promise<void>): Changes | undefined {
  const failed = (error: unknown) => server.log("warning", `No word of changes from the kernel: ${error}`);
  try {
    return new Changes(() => void tell().catch(failed), failed);
  } catch (error) {
    failed(error);
    return undefined;
  }
}
