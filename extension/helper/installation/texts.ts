/* What an installation writes that is no copy: the program that starts the helper, and polkit's policy for it. */
import { quoted } from "../quoting";
import { ACTION } from "./places";

/**
 * A program for sudo and pkexec to run. It takes no arguments and hands on nothing of the environment but who has
 * called: polkit may let the same user run it again without asking, with what it likes in both.
 */
export function launcher(runtime: string, helper: string, environment: Record<string, string>): string {
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${quoted(value)}`);
  return `#!/bin/sh
# Diskloom's helper, as its VS Code extension installed it.
exec /usr/bin/env -i ${variables.join(" ")} \\
  \${SUDO_UID:+"SUDO_UID=$SUDO_UID"} \${PKEXEC_UID:+"PKEXEC_UID=$PKEXEC_UID"} \\
  ${quoted(runtime)} ${quoted(helper)} --stdio
`;
}

/** pkexec(1) takes this action for running this program, and for none else. */
export function policy(program: string): string {
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE policyconfig PUBLIC "-//freedesktop//DTD PolicyKit Policy Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/PolicyKit/1.0/policyconfig.dtd">
<policyconfig>
  <vendor>Diskloom</vendor>
  <icon_name>drive-harddisk</icon_name>
  <action id="${ACTION}">
    <description>Attach disk images and manage block devices</description>
    <message>Authentication is required to let Diskloom attach disk images and manage block devices</message>
    <icon_name>drive-harddisk</icon_name>
    <defaults>
      <allow_any>auth_admin</allow_any>
      <allow_inactive>auth_admin</allow_inactive>
      <allow_active>auth_admin_keep</allow_active>
    </defaults>
    <annotate key="org.freedesktop.policykit.exec.path">${program}</annotate>
  </action>
</policyconfig>
`;
}
