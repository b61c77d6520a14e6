import type { Caller } from "../caller";
import { setCapacity } from "../linux/loop";
import type { CheckedParams } from "../protocol";
import { openOwned } from "./device";

/** Takes up the size that the image has now: the kernel doesn't look at it again by itself. */
export async function resize<T>(
  wish: CheckedParams<"loop/resize">,
  caller: Caller,
  describe: () => Promise<T>,
): Promise<T> {
  const { loop } = await openOwned(wish, caller);
  try {
    await setCapacity(loop);
    return await describe();
  } finally {
    await loop[Symbol.asyncDispose]();
  }
}
