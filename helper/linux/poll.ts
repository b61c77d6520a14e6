/* Waiting for file descriptors that Node's event loop can't watch: poll(2) on a thread of libuv's pool. */
import { setTimeout as sleep } from "node:timers/promises";
import { isErrno } from "./errno";
import { OpenFile } from "./file";
import { attempt, call, callAsync, type Fd } from "./libc";

export const POLLIN = 1;
export const POLLPRI = 2;
const POLLFD_SIZE = 8;
const EFD_CLOEXEC_NONBLOCK = 0o2000000 | 0o4000;

/** Whether something of this has happened, and not been told yet, or that can't be told (a signal came). It never waits. */
export function hasHappened({ fd, path }: OpenFile, events: number): boolean {
  const polled = Buffer.alloc(POLLFD_SIZE);
  polled.writeInt32LE(fd, 0);
  polled.writeInt16LE(events, 4);
  return attempt("poll", [polled, 1, 0], ["poll", path]) !== 0;
}

/** What to wait for, and what to do then. */
export interface Watched {
  file: OpenFile;
  events: number;
  ready(): void;
}

/**
 * Watches until disposed of. It takes one thread of the pool for good and no time at all while nothing happens.
 * After something happened it rests: what comes meanwhile is met all at once, and doesn't wake the process each time.
 * Disposing wakes the thread, as Node can't exit while one is blocked; it is safe in an exit handler.
 *
 * @param rest milliseconds
 */
export function watch(watched: Watched[], failed: (error: unknown) => void, rest = 0): Disposable {
  const wake = new OpenFile(call("eventfd", [0, EFD_CLOEXEC_NONBLOCK], ["eventfd", "watch"]) as Fd, "watch");
  let ended = false;

  async function run(): Promise<void> {
    const all = [...watched, { file: wake, events: POLLIN, ready() {} }];
    while (!ended) {
      const fds = Buffer.alloc(POLLFD_SIZE * all.length);
      all.forEach(({ file, events }, index) => {
        fds.writeInt32LE(file.fd, index * POLLFD_SIZE);
        fds.writeInt16LE(events, index * POLLFD_SIZE + 4);
      });
      try {
        await callAsync("poll", [fds, all.length, -1], ["poll", "watch"]);
      } catch (error) {
        // A debugger that attaches interrupts it.
        if (isErrno(error, "EINTR")) {
          continue;
        }
        throw error;
      }
      all.forEach(({ ready }, index) => {
        if (!ended && fds.readInt16LE(index * POLLFD_SIZE + 6) !== 0) {
          ready();
        }
      });
      if (!ended && rest > 0) {
        await sleep(rest, undefined, { ref: false });
      }
    }
  }

  run()
    .catch(failed)
    .finally(() => {
      ended = true;
      wake[Symbol.dispose]();
    });
  return {
    [Symbol.dispose]() {
      if (!ended) {
        ended = true;
        call("write", [wake.fd, Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]), 8], ["write", "watch"]);
      }
    },
  };
}
