/* A copy of an image in memory, memfd_create(2): the device can be written to as one likes, the image never changes. */
import { read, write } from "node:fs";
import { basename } from "node:path";
import { promisify } from "node:util";
import { asKernelError } from "../linux/errno";
import { OpenFile } from "../linux/file";
import { call, type Fd } from "../linux/libc";
import { Cancelled } from "../pause";
import { Problem } from "../problem";
import type { Work } from "../work";

const MFD_CLOEXEC = 1;
const CHUNK = 4 << 20;
// The kernel's limit is 249 bytes.
const NAME_LENGTH = 200;

const readAsync = promisify(read);
const writeAsync = promisify(write);

/**
 * @param size bytes to copy, from the image's beginning
 * @throws Problem invalid where it has become shorter; KernelError where it can't be read, or there is no memory left
 */
export async function copyToMemory(image: OpenFile, path: string, size: number, work: Work): Promise<OpenFile> {
  const name = Buffer.from(basename(path)).subarray(0, NAME_LENGTH).toString("utf8");
  const copy = new OpenFile(call("memfd_create", [name, MFD_CLOEXEC], ["memfd_create", path]) as Fd, `/memfd:${name}`);
  try {
    const buffer = Buffer.alloc(Math.min(CHUNK, size));
    const zeros = Buffer.alloc(buffer.length);
    let position = 0;
    while (position < size) {
      if (work.signal.aborted) {
        throw new Cancelled();
      }
      const length = Math.min(buffer.length, size - position);
      const { bytesRead } = await readAsync(image.fd, buffer, 0, length, position).catch((error) => {
        throw asKernelError(error, "read", path);
      });
      if (bytesRead === 0) {
        throw new Problem("invalid", `${path} was cut short while it was copied into memory. Nothing is attached.`);
      }
      const last = position + bytesRead === size;
      // What is not written takes no memory; the last byte is, as it makes the size.
      if (last || buffer.compare(zeros, 0, bytesRead, 0, bytesRead) !== 0) {
        await writeFully(copy.fd, buffer.subarray(0, bytesRead), position).catch((error) => {
          throw asKernelError(error, "write", copy.path);
        });
      }
      position += bytesRead;
      work.report(`Copying ${basename(path)} into memory`, Math.floor((position / size) * 100));
    }
    return copy;
  } catch (error) {
    copy[Symbol.dispose]();
    throw error;
  }
}

async function writeFully(fd: Fd, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await writeAsync(fd, bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}
