/* Waiting for file descriptors that Node's event loop can't watch: poll(2) on a thread of libuv's pool. */
import { OpenFile } from "./file";
import { call, callAsync, type Fd } from "./libc";

export const POLLIN = 1;
export const POLLPRI = 2;
const POLLFD_SIZE = 8;
const EFD_CLOEXEC_NONBLOCK = 0o2000000 | 0o4000;

/** What to wait for, and what to do then. */
export interface Watched {
  file: OpenFile;
  events: number;
  ready(): void;
}

/**
 * Watches until disposed of. It takes one thread of the pool for good and no time at all while nothing happens.
 * Disposing wakes the thread, as Node can't exit while one is blocked; it is safe in an exit handler.
 */
export function watch(watched: Watched[], failed: (error: unknown) => void): Disposable {
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
      await callAsync("poll", [fds, all.length, -1], ["poll", "watch"]);
      all.forEach(({ ready }, index) => {
        if (!ended && fds.readInt16LE(index * POLLFD_SIZE + 6) !== 0) {
          ready();
        }
      });
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
