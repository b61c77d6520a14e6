/* Devices that somebody else set up are touched only after the user has confirmed to mean it. */
import * as vscode from "vscode";
import { Failure } from "../helper/failure";

/**
 * Does something to a device and, where that is refused because it is somebody else's, asks and does it again.
 * @param deed what is done, as the button that confirms it: "Detach"
 * @param about what the dialog adds for the user to recognise the device
 * @returns `undefined` where the user doesn't want to
 */
export async function confirmingForeign<T>(
  deed: string,
  about: string,
  run: (confirmed: { confirmForeign?: true }) => Promise<T>,
): Promise<T | undefined> {
  try {
    return await run({});
  } catch (error) {
    if (!(error instanceof Failure && error.data.foreign)) {
      throw error;
    }
    const button = `${deed} Anyway`;
    const options = { modal: true, detail: `Whoever did that may still need it as it is.\n${about}` };
    const chosen = await vscode.window.showWarningMessage(`${error.message} ${deed} it anyway?`, options, button);
    return chosen === button ? await run({ confirmForeign: true }) : undefined;
  }
}
