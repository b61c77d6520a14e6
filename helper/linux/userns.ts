/* User namespaces for their id maps, user_namespaces(7). */
import { writeFileSync } from "node:fs";
import koffi from "koffi";
import { withErrno } from "./errno";
import { O_RDONLY, type OpenFile, openFile } from "./file";
import { call } from "./libc";

// <linux/sched.h>, <signal.h>
const CLONE_NEWUSER = 0x10000000;
const SIGCHLD = 17;
const STACK_SIZE = 64 * 1024;

/** The lines of /proc/…/uid_map and gid_map. */
export interface IdMaps {
  uids: string;
  gids: string;
}

/**
 * A user namespace with these maps, which nobody is in.
 *
 * A namespace is made with a process only, and the one that is in it stays for the moment that its maps take: a copy of
 * ours that does nothing but wait to be killed, in pause(2). That can't be had of Node, whose processes have several
 * threads from the start: those can't change their user namespace.
 *
 * @throws KernelError ENOSPC where user namespaces are switched off, EPERM, EINVAL where the kernel has none
 */
export function openUserNamespace({ uids, gids }: IdMaps): OpenFile {
  const stack = Buffer.alloc(STACK_SIZE);
  // It grows downwards, from an address that is a multiple of 16.
  const top = (koffi.address(stack) + BigInt(STACK_SIZE)) & ~15n;
  const pid = call("clone", [koffi.address(pauseFunction()), top, CLONE_NEWUSER | SIGCHLD, null], ["clone", "user"]);
  try {
    const folder = `/proc/${pid}`;
    for (const [file, map] of [
      [`${folder}/uid_map`, uids],
      [`${folder}/gid_map`, gids],
    ] as const) {
      withErrno("write", file, () => writeFileSync(file, map));
    }
    return openFile(`${folder}/ns/user`, O_RDONLY);
  } finally {
    stack.fill(0);
    process.kill(pid, "SIGKILL");
    call("waitpid", [pid, null, 0], ["waitpid", `${pid}`]);
  }
}

function pauseFunction(): unknown {
  return koffi.load(null).symbol("pause");
}
