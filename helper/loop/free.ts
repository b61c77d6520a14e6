import { getFree } from "../linux/loop";
import { withControl } from "./control";
import { diskOf } from "./device";

/** The node of a device that is free at this moment. It may be somebody's in the next: to have it, attach to it. */
export function findFree(signal: AbortSignal): Promise<string> {
  return withControl(signal, async (control) => `/dev/${diskOf(await getFree(control))}`);
}
