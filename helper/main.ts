/*
 * The helper: stdin and stdout in, server out. It is started by the extension, mostly through sudo, as
 * `helper.js --stdio`, and lives as long as its stdin. A second thread of it makes long lists.
 */
import { setFlagsFromString } from "node:v8";
import { isMainThread } from "node:worker_threads";

// Before anything makes libuv start its threads: one waits for the kernel's events for good, and slow devices hold up
// others.
process.env.UV_THREADPOOL_SIZE ??= "16";

// Each thread has a copy of all that it loads.
if (isMainThread) {
  void import("./stdio").then(({ serve }) => serve());
} else {
  // For both threads from now on. To optimise our code takes 5 MiB for good, and saves a sixth of a list's time, only
  // after ten of them.
  setFlagsFromString("--no-opt");
  void import("./listingThread").then(({ answerQuestions }) => answerQuestions());
}
