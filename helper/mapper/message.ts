/* Messages to targets: a language of each target's own. */
import { sectors } from "../linux/dm";
import { isErrno } from "../linux/errno";
import { Problem } from "../problem";
import type { MapperDeps, Meant } from "./deps";
import { holdDevice } from "./device";

export interface MessageParams extends Meant {
  /** Which target: the one at this sector of the device. */
  sector?: number | undefined;
  message: string;
}

/**
 * `mapper/message`. The message is in no error and no log, as it may be a key ("key set …").
 * @throws Problem invalid where the target doesn't take it, notFound, stale
 */
export async function messageMapper(params: MessageParams, { control }: MapperDeps): Promise<{ reply: string }> {
  const { device, message } = params;
  if (message.trim() === "" || message.includes("\0")) {
    throw new Problem("invalid", "The message is empty, or contains a NUL.");
  }
  await using held = await holdDevice(control, params);
  try {
    return { reply: await control.message(held.key, sectors(params.sector ?? 0), message) };
  } catch (error) {
    if (isErrno(error, "EINVAL", "ENOTTY", "EOPNOTSUPP")) {
      throw Problem.of(
        "invalid",
        `The target of ${device} at sector ${params.sector ?? 0} refuses the message.`,
        error,
      );
    }
    throw error;
  }
}
