/*
 * The helper: stdin and stdout in, server out. It is started by the extension, mostly through sudo, as
 * `helper.js --stdio`, and lives as long as its stdin.
 */
import { greet } from "./greeting";

/** As in sysexits.h. */
const EX_USAGE = 64;

// Before anything makes libuv start its threads: one waits for the kernel's events for good, and slow devices hold up
// others.
process.env.UV_THREADPOOL_SIZE ??= "16";

if (process.argv[2] !== "--stdio" || process.argv.length !== 3) {
  process.stderr.write("Diskloom's helper is started by its VS Code extension: helper.js --stdio\n");
  process.exit(EX_USAGE);
}
greet((received, greeted) => void import("./engine").then(({ serve }) => serve(received, greeted)));
