/* VS Code's own password box. */
import * as vscode from "vscode";
import type { Ask, Question } from "./askpass";

/** What is to be known before the extension's own copy of the helper becomes root. */
const OWN_COPY = vscode.l10n.t(
  "What becomes root is in the extension's folder, where any program of yours can change it, until you run “Diskloom: Install Privileged Helper...”.",
);

/** @param ownCopy whether it is for the helper in the extension's folder */
export function askByBox(ownCopy: boolean): Ask {
  return (question, gone) => ask(question, ownCopy, gone);
}

async function ask(
  { prompt, again, user, host }: Question,
  ownCopy: boolean,
  gone: AbortSignal,
): Promise<string | undefined> {
  const cancellation = new vscode.CancellationTokenSource();
  gone.addEventListener("abort", () => cancellation.cancel());
  try {
    return await vscode.window.showInputBox(
      {
        title: again
          ? vscode.l10n.t("Diskloom: Wrong Password, Try Again")
          : vscode.l10n.t("Diskloom Needs Root Rights"),
        prompt: `${describe(prompt, user, host)}${ownCopy ? ` ${OWN_COPY}` : ""}`,
        password: true,
        ignoreFocusOut: true,
      },
      cancellation.token,
    );
  } finally {
    cancellation.dispose();
  }
}

/** sudo may ask for somebody else's password ("targetpw"), and modules of PAM for something else altogether. */
function describe(prompt: string, user: string, host: string): string {
  const [, whose] = /password for ([^\s:]+)/i.exec(prompt) ?? [];
  return whose !== undefined || /^\s*password:?\s*$/i.test(prompt)
    ? vscode.l10n.t(
        "Password of {0} on {1}, for sudo. Diskloom hands it to sudo and keeps it nowhere.",
        whose ?? user,
        host,
      )
    : vscode.l10n.t("sudo asks {0} on {1}: {2}", user, host, prompt.trim());
}
