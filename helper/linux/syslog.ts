/* The system's log, by the socket that syslogd or journald listens on: syslog(3), RFC 3164. */

import { OpenFile } from "./file";
import { attempt, call, type Fd } from "./libc";

const SOCKET = "/dev/log";
const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;
const MSG_NOSIGNAL = 0x4000;
/** LOG_AUTHPRIV | LOG_NOTICE of <sys/syslog.h>: what only administrators read. */
const PRIORITY = (10 << 3) | 5;
/** A datagram that is longer is refused by some of those who listen; bytes. */
const LONGEST = 2000;

let socket: OpenFile | undefined;
const address = Buffer.concat([Buffer.from([AF_UNIX, 0]), Buffer.from(`${SOCKET}\0`)]);

/** @returns false where nobody listens, or doesn't listen fast enough: waiting is not for us */
export function syslog(text: string): boolean {
  socket ??= new OpenFile(
    call("socket", [AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0], ["socket", SOCKET]) as Fd,
    SOCKET,
  );
  const message = Buffer.from(`<${PRIORITY}>diskloom-helper[${process.pid}]: ${text}`).subarray(0, LONGEST);
  // Not connected: whoever listens may be started anew.
  const args = [socket.fd, message, message.length, MSG_NOSIGNAL, address, address.length];
  return attempt("sendto", args, ["sendto", SOCKET]) >= 0;
}
