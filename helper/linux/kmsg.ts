/* The kernel's log, /dev/kmsg: for interfaces that say there why they refused. */
import { isErrno } from "./errno";
import { O_RDONLY, type OpenFile, openFile } from "./file";
import { call } from "./libc";

const PATH = "/dev/kmsg";
const SEEK_END = 2;
// CONSOLE_EXT_LOG_MAX in the kernel: no record is longer.
const RECORD_SIZE = 8192;

/** The log from the moment it was opened on. */
export class KernelLog implements Disposable {
  private constructor(private readonly file: OpenFile) {}

  /** `undefined` where we may not read it, as in many a container. */
  static open(): KernelLog | undefined {
    let file: OpenFile;
    try {
      file = openFile(PATH, O_RDONLY);
    } catch (error) {
      if (isErrno(error, "ENOENT", "EPERM", "EACCES", "ENODEV", "ENXIO")) {
        return undefined;
      }
      throw error;
    }
    try {
      call("lseek", [file.fd, 0, SEEK_END], ["lseek", PATH]);
      return new KernelLog(file);
    } catch {
      // A plain file in its place, or /dev/null: no reason to fail for want of a reason.
      file[Symbol.dispose]();
      return undefined;
    }
  }

  /** The messages since, or since the last call. */
  read(): string[] {
    const messages: string[] = [];
    const record = Buffer.alloc(RECORD_SIZE);
    for (;;) {
      try {
        const length = call("read", [this.file.fd, record, record.length], ["read", PATH]);
        if (length === 0) {
          return messages;
        }
        // "6,339,5140900,-;message", then lines of key=value that begin with a space.
        const [text = ""] = record.toString("utf8", 0, length).split("\n");
        messages.push(text.slice(text.indexOf(";") + 1));
      } catch (error) {
        // EPIPE: the record was overwritten before we came; the next read goes on after it.
        if (!isErrno(error, "EPIPE")) {
          return messages;
        }
      }
    }
  }

  [Symbol.dispose](): void {
    this.file[Symbol.dispose]();
  }
}
