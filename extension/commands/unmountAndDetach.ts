/* Unmount and Detach: all that is mounted of an image is unmounted and the image detached, or all stays as it is. */

import type { CommandContext } from "./context";
import { detachDevice } from "./detach";
import { pickLoop } from "./pick";

export async function unmountAndDetach(context: CommandContext, item?: unknown): Promise<void> {
  const device = await pickLoop(context, "Unmount and Detach", item);
  if (device) {
    await detachDevice(context, device, "unmount");
  }
}
