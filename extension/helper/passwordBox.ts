/* VS Code's own password box. */
import * as vscode from "vscode";
import type { Ask } from "./askpass";

export const askByBox: Ask = async ({ prompt, again, user, host }, gone) => {
  const cancellation = new vscode.CancellationTokenSource();
  gone.addEventListener("abort", () => cancellation.cancel());
  try {
    return await vscode.window.showInputBox(
      {
        title: again ? "Diskloom: Wrong Password, Try Again" : "Diskloom Needs Root Rights",
        prompt: describe(prompt, user, host),
        password: true,
        ignoreFocusOut: true,
      },
      cancellation.token,
    );
  } finally {
    cancellation.dispose();
  }
};

/** sudo may ask for somebody else's password ("targetpw"), and modules of PAM for something else altogether. */
function describe(prompt: string, user: string, host: string): string {
  const [, whose] = /password for ([^\s:]+)/i.exec(prompt) ?? [];
  return whose !== undefined || /^\s*password:?\s*$/i.test(prompt)
    ? `Password of ${whose ?? user} on ${host}, for sudo. Diskloom hands it to sudo and keeps it nowhere.`
    : `sudo asks ${user} on ${host}: ${prompt.trim()}`;
}
