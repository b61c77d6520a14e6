/* What sudo and polkit say, as a sentence that says what to do. */
import { l10n } from "vscode";
import type { Machine } from "./machine";
import type { Refusal } from "./way";

/** Nothing can make a process root that the kernel lets gain no rights. */
export function noNewPrivileges(machine: Pick<Machine, "hasNoNewPrivileges">): string | undefined {
  return machine.hasNoNewPrivileges()
    ? l10n.t(
        "This VS Code was started so that nothing in it can become root (“no new privileges”, as Snap, Flatpak and some containers do). Start it another way, or run VS Code's server as root.",
      )
    : undefined;
}

export const SUDO_MISSING = l10n.t("There is no sudo here. Install it, or run VS Code's server as root.");
export const PKEXEC_MISSING = l10n.t(
  "There is no /usr/bin/pkexec here. Install polkit's pkexec, or set “diskloom.elevation” to “sudo”.",
);
export const NO_AGENT = l10n.t(
  "polkit has nobody to ask by: no authentication agent runs for this session. Set “diskloom.elevation” to “sudo”, or use VS Code on this machine's desktop.",
);

const sudoWords: [RegExp, Refusal][] = [
  [/ENOENT|command not found/i, { kind: "next", advice: SUDO_MISSING }],
  [
    /no new privileges/i,
    {
      kind: "next",
      advice: l10n.t(
        "This VS Code was started so that nothing in it can become root (“no new privileges”). Start it another way, or run VS Code's server as root.",
      ),
    },
  ],
  [
    /must have a tty/i,
    {
      kind: "next",
      advice: l10n.t(
        "sudo demands a terminal here (“requiretty” in sudoers), which Diskloom has none of. Ask an administrator to take that out for you, or set “diskloom.elevation” to “polkit”.",
      ),
    },
  ],
  [
    /not in the sudoers|not allowed|may not run/i,
    {
      kind: "next",
      advice: l10n.t("sudo doesn't let you do that (sudoers). Ask an administrator to let you use sudo."),
    },
  ],
  [
    /effective uid is not 0|must be owned by uid 0 and have the setuid bit/i,
    {
      kind: "next",
      advice: l10n.t(
        "sudo is not installed as a setuid program, or is on a file system without such. Ask an administrator.",
      ),
    },
  ],
  // After those that are reported with it.
  [
    /incorrect password attempt/i,
    {
      kind: "end",
      advice: l10n.t("The password was wrong too often. Nothing was done; try again with the right one."),
    },
  ],
  [
    /no password was provided|password is required/i,
    { kind: "next", advice: l10n.t("sudo asks for a password, and was given none. Try again and enter it.") },
  ],
];

/** What sudo said, as advice. */
export function sudoRefusal(said: string): Refusal {
  const found = sudoWords.find(([words]) => words.test(said));
  return found?.[1] ?? { kind: "next", advice: l10n.t("See the log for what sudo said.") };
}

/** What pkexec and sudo-prompt said, as advice. */
export function polkitRefusal(said: string): Refusal {
  if (/no polkit authentication agent|no authentication agent/i.test(said)) {
    return { kind: "next", advice: NO_AGENT };
  }
  if (/unable to find pkexec/i.test(said)) {
    return { kind: "next", advice: PKEXEC_MISSING };
  }
  if (/setuid root|must be setuid/i.test(said)) {
    return { kind: "next", advice: l10n.t("pkexec is not installed as a setuid program. Ask an administrator.") };
  }
  // pkexec(1): what is dismissed is reported apart from what polkit refuses.
  if (/request dismissed/i.test(said)) {
    return { kind: "cancelled", advice: l10n.t("The dialog was dismissed.") };
  }
  if (/not authorized/i.test(said)) {
    return {
      kind: "end",
      advice: l10n.t("polkit refused that. Ask an administrator to let you run programs by pkexec."),
    };
  }
  if (/system bus|dbus|D-Bus/i.test(said)) {
    return { kind: "next", advice: l10n.t("polkit can't be reached, as no system bus (D-Bus) runs here. Use sudo.") };
  }
  return { kind: "end", advice: l10n.t("See the log for what polkit said.") };
}
