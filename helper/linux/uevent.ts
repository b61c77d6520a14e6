/* The kernel's device events: netlink(7), NETLINK_KOBJECT_UEVENT. Listening needs no privilege. */
import { errnoName, KernelError } from "./errno";
import { OpenFile } from "./file";
import { attempt, call, type Fd } from "./libc";

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;
const NETLINK_KOBJECT_UEVENT = 15;
/** The group of what the kernel itself sends; udev sends to group 2. */
const KERNEL_GROUP = 1;
const SOCKADDR_NL_SIZE = 12;
// <linux/socket.h>, <linux/netlink.h>
const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const NETLINK_DROP_MEMBERSHIP = 2;
// UEVENT_BUFFER_SIZE in <linux/kobject.h> is 2048, and the path comes before it.
const MESSAGE_SIZE = 8192;

export function openUeventSocket(): OpenFile {
  const type = SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK;
  const fd = call("socket", [AF_NETLINK, type, NETLINK_KOBJECT_UEVENT], ["socket", "uevents"]) as Fd;
  const socket = new OpenFile(fd, "uevents");
  try {
    const address = Buffer.alloc(SOCKADDR_NL_SIZE);
    address.writeUInt16LE(AF_NETLINK, 0);
    address.writeUInt32LE(KERNEL_GROUP, 8);
    call("bind", [fd, address, address.length], ["bind", "uevents"]);
    return socket;
  } catch (error) {
    socket[Symbol.dispose]();
    throw error;
  }
}

/** Has the socket listen or not. While it doesn't, an event costs neither the kernel nor us anything. */
export function setListening(socket: OpenFile, on: boolean): void {
  const group = Buffer.alloc(4);
  group.writeUInt32LE(KERNEL_GROUP);
  const option = on ? NETLINK_ADD_MEMBERSHIP : NETLINK_DROP_MEMBERSHIP;
  call("setsockopt", [socket.fd, SOL_NETLINK, option, group, group.length], ["setsockopt", "uevents"]);
}

const message = Buffer.alloc(MESSAGE_SIZE);

/**
 * What all the events that wait are of, by paths below /sys, and whether some were lost because too many came. No more
 * of them is looked at: where many devices come and go, everybody who listens gets the events of all.
 */
export function readUevents(socket: OpenFile): { paths: string[]; lost: boolean } {
  const paths: string[] = [];
  const what = ["recv", "uevents"] as const;
  let lost = false;
  for (;;) {
    const length = attempt("recv", [socket.fd, message, message.length, 0], what);
    if (length >= 0) {
      paths.push(pathIn(message.subarray(0, length)));
      continue;
    }
    const errno = errnoName(-length);
    if (errno === "EAGAIN") {
      return { paths, lost };
    }
    if (errno !== "ENOBUFS") {
      throw new KernelError(errno, ...what);
    }
    lost = true;
  }
}

/** An event begins with "ACTION@PATH" and a NUL; its variables, which come behind, name the path again. */
function pathIn(event: Buffer): string {
  const head = event.toString("latin1", 0, Math.max(0, event.indexOf(0)));
  return head.slice(head.indexOf("@") + 1);
}
