import { isErrno } from "../linux/errno";
import { O_RDONLY, openFile } from "../linux/file";
import { callAsync } from "../linux/libc";

/** syncfs(2): waits until all that was written to a mounted file system is on its device. */
export async function syncFileSystem(target: string): Promise<void> {
  try {
    using root = openFile(target, O_RDONLY);
    await callAsync("syncfs", [root.fd], ["syncfs", target]);
  } catch (error) {
    // Unmounted meanwhile, which has written it all.
    if (!isErrno(error, "ENOENT", "ENOTDIR")) {
      throw error;
    }
  }
}
