import { type BigIntStats, read, readSync } from "node:fs";
import { promisify } from "node:util";
import { deviceSize } from "../linux/block";
import { asKernelError, withErrno } from "../linux/errno";
import type { OpenFile } from "../linux/file";
import { readCached } from "../linux/readCached";
import { mayWait } from "../linux/thread";

const readAsync = promisify(read);

/** The most that is copied at once, in bytes: more would hold up other requests. */
const MOST_AT_ONCE = 128 * 1024;

/**
 * Reads a part of a file, without touching the place where others read it. What lies past the file's end is missing
 * from the result.
 *
 * @param position bytes from the file's start
 * @throws KernelError, as pread(2) fails
 */
export function readAt(file: OpenFile, position: number, length: number): Promise<Buffer> {
  return readInto(file, Buffer.alloc(length), position);
}

/** As `readAt`, into a buffer of one's own, of which the result is the part that was read. */
export async function readInto(file: OpenFile, bytes: Buffer, position: number): Promise<Buffer> {
  // Another thread takes longer to begin than this takes where it is in memory.
  if (!mayWait && bytes.length <= MOST_AT_ONCE && readCached(file.fd, bytes, position)) {
    return bytes;
  }
  let done = 0;
  try {
    while (done < bytes.length) {
      const place = [done, bytes.length - done, position + done] as const;
      const bytesRead = mayWait
        ? readSync(file.fd, bytes, ...place)
        : (await readAsync(file.fd, bytes, ...place)).bytesRead;
      if (bytesRead === 0) {
        break;
      }
      done += bytesRead;
    }
  } catch (error) {
    throw asKernelError(error, "pread", file.path);
  }
  return bytes.subarray(0, done);
}

/** As `readAt`, for a few bytes that are needed before anything else can go on. */
export function readAtOnce(file: OpenFile, position: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  if (readCached(file.fd, bytes, position)) {
    return bytes;
  }
  const done = withErrno("pread", file.path, () => readSync(file.fd, bytes, 0, length, position));
  return bytes.subarray(0, done);
}

/** The bytes that a file or block device has. */
export function sizeOf(file: OpenFile, stat: BigIntStats = file.stat()): number {
  return Number(stat.isBlockDevice() ? deviceSize(file) : stat.size);
}
