/*
 * The helper: stdin and stdout in, server out. It is started by the extension, mostly through sudo, as
 * `helper.js --stdio`, and lives as long as its stdin. A second thread of it makes long lists.
 */
import { LISTING_THREAD } from "./codes";

// Before anything makes libuv start its threads: one waits for the kernel's events for good, and slow devices hold up
// others.
process.env.UV_THREADPOOL_SIZE ??= "16";

// Each thread has a copy of all that it loads. That it is asked by argument spares every start a module.
if (process.argv[2] === LISTING_THREAD) {
  void import("./listingThread").then(({ answerQuestions }) => answerQuestions());
} else {
  void import("./stdio").then(({ serve }) => serve());
}
