/* Becoming root by sudo where it asks for no password. */
import type { Command } from "./runtime";

/**
 * sudo drops the environment, so what the runtime needs of it goes through env(1); and where sudo was told to keep it,
 * what could lead Node astray is dropped all the same.
 */
export function sudo({ program, args, environment }: Command): Command {
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  return {
    program: "sudo",
    args: ["-n", "--", "env", "-u", "NODE_OPTIONS", "-u", "NODE_PATH", ...variables, program, ...args],
    environment: { PATH: environment.PATH ?? "", LANG: "C.UTF-8" },
  };
}

/** What sudo said, as advice. */
export function sudoAdvice(said: string): string {
  if (/ENOENT/.test(said)) {
    return "Install sudo, or run VS Code's server as root.";
  }
  if (/no new privileges/i.test(said)) {
    return "This VS Code was started so that nothing in it can become root (as a Snap or Flatpak, or in a container).";
  }
  if (/not in the sudoers|not allowed|may not run/i.test(said)) {
    return "Ask an administrator to let you use sudo.";
  }
  if (/password is required/i.test(said)) {
    return "sudo asks for a password, which Diskloom can't give it yet. Allow it without one (NOPASSWD in sudoers).";
  }
  return "See the log for what sudo said.";
}
