/* System V semaphores, one at a time: semget(2), semctl(2), semop(2), semtimedop(2). */
import { isErrno } from "./errno";
import { call, callAsync } from "./libc";

// <linux/ipc.h>, <linux/sem.h>
const IPC_CREAT = 0o1000;
const IPC_EXCL = 0o2000;
const IPC_RMID = 0;
const IPC_NOWAIT = 0o4000;
const GETVAL = 12;
const SETVAL = 16;
const SEMBUF_SIZE = 6;
const TIMESPEC_SIZE = 16;

/**
 * A semaphore that is removed by the scope that made it. One whose process is killed stays until somebody removes it:
 * the kernel has nothing for that, as System V semaphores belong to no process.
 */
export class Semaphore implements Disposable {
  #removed = false;

  private constructor(
    readonly key: number,
    private readonly id: number,
  ) {}

  /** A new one of that key; `undefined` where there is one already. @throws ENOSPC where the system has too many */
  static create(key: number, value: number): Semaphore | undefined {
    const target = `semaphore 0x${key.toString(16).padStart(8, "0")}`;
    let id: number;
    try {
      id = call("semget", [key, 1, IPC_CREAT | IPC_EXCL | 0o600], ["semget", target]);
    } catch (error) {
      if (isErrno(error, "EEXIST")) {
        return undefined;
      }
      throw error;
    }
    const semaphore = new Semaphore(key, id);
    try {
      call("semctl", [id, 0, SETVAL, value], ["semctl SETVAL", target]);
      return semaphore;
    } catch (error) {
      semaphore[Symbol.dispose]();
      throw error;
    }
  }

  /** Its value; `undefined` where somebody else has removed it. */
  value(): number | undefined {
    try {
      return call("semctl", [this.id, 0, GETVAL, 0], ["semctl GETVAL", this.#target]);
    } catch (error) {
      if (isErrno(error, "EINVAL", "EIDRM")) {
        return undefined;
      }
      throw error;
    }
  }

  /** Adds to its value. @throws EAGAIN where that would make it negative; never waits */
  add(change: number): void {
    // `struct sembuf`: sem_num, sem_op, sem_flg.
    const operation = Buffer.alloc(SEMBUF_SIZE);
    operation.writeInt16LE(change, 2);
    operation.writeInt16LE(IPC_NOWAIT, 4);
    call("semop", [this.id, operation, 1], ["semop", this.#target]);
  }

  /**
   * Waits on a thread of the pool until it is 0, or somebody else has removed it.
   * @param milliseconds at most so long: the thread can't be got back before
   * @returns false where it is not 0 by then
   */
  async becomesZero(milliseconds: number): Promise<boolean> {
    const timeout = Buffer.alloc(TIMESPEC_SIZE);
    timeout.writeBigInt64LE(BigInt(Math.floor(milliseconds / 1000)), 0);
    timeout.writeBigInt64LE(BigInt(Math.floor((milliseconds % 1000) * 1e6)), 8);
    try {
      await callAsync("semtimedop", [this.id, Buffer.alloc(SEMBUF_SIZE), 1, timeout], ["semtimedop", this.#target]);
      return true;
    } catch (error) {
      // A debugger that attaches interrupts it.
      if (isErrno(error, "EAGAIN", "EINTR")) {
        return false;
      }
      if (isErrno(error, "EINVAL", "EIDRM")) {
        return true;
      }
      throw error;
    }
  }

  [Symbol.dispose](): void {
    if (this.#removed) {
      return;
    }
    this.#removed = true;
    try {
      call("semctl", [this.id, 0, IPC_RMID, 0], ["semctl IPC_RMID", this.#target]);
    } catch (error) {
      // `dmsetup udevcomplete_all` was quicker.
      if (!isErrno(error, "EINVAL", "EIDRM")) {
        throw error;
      }
    }
  }

  get #target(): string {
    return `semaphore 0x${this.key.toString(16).padStart(8, "0")}`;
  }
}
