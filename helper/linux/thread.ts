import { isMainThread } from "node:worker_threads";

/**
 * Whether what can take long is just waited for. On the thread that answers requests never: there it goes to libuv's
 * threads, and each way there and back costs more than most calls themselves. A thread of our own keeps nobody waiting.
 */
export const mayWait = !isMainThread;
