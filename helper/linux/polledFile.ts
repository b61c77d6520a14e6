/* Files of /proc whose changes the kernel tells of: mountinfo, proc_pid_mountinfo(5), and swaps. */
import { O_RDONLY, type OpenFile, openFile } from "./file";
import { hasHappened, POLLPRI } from "./poll";
import { fileSystemOf, PROC_SUPER_MAGIC } from "./statfs";

/** What such a file says, read anew only where it has changed. */
export class PolledFile<T extends object> {
  #file: OpenFile | undefined;
  #said: T | undefined;
  /** Containers have files of their own in the place of some (lxcfs): those never tell. */
  #tells = false;

  constructor(
    readonly path: string,
    readonly read: () => T,
  ) {}

  /** @throws KernelError where there is no such file */
  says(): T {
    if (!this.#file) {
      this.#file = openFile(this.path, O_RDONLY);
      this.#tells = fileSystemOf(this.#file) === PROC_SUPER_MAGIC;
    }
    if (!this.#tells || hasHappened(this.#file, POLLPRI)) {
      // Before it is read: what happens meanwhile is told the next time.
      this.#said = undefined;
    }
    this.#said ??= this.read();
    return this.#said;
  }
}
