/* The kernel's device events: netlink(7), NETLINK_KOBJECT_UEVENT. Listening needs no privilege. */
import { isErrno } from "./errno";
import { OpenFile } from "./file";
import { call, type Fd } from "./libc";

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;
const NETLINK_KOBJECT_UEVENT = 15;
/** The group of what the kernel itself sends; udev sends to group 2. */
const KERNEL_GROUP = 1;
const SOCKADDR_NL_SIZE = 12;
// UEVENT_BUFFER_SIZE in <linux/kobject.h> is 2048, and the path comes before it.
const MESSAGE_SIZE = 8192;

/** The variables of an event: ACTION, DEVPATH, SUBSYSTEM, DEVNAME … */
export type Uevent = ReadonlyMap<string, string>;

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

export function parseUevent(message: Buffer): Uevent {
  const [, ...variables] = message.toString("utf8").split("\0");
  return new Map(
    variables
      .filter((line) => line.includes("="))
      .map((line): [string, string] => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
  );
}

/** All events that wait, and whether some were lost because too many came. */
export function readUevents(socket: OpenFile): { events: Uevent[]; lost: boolean } {
  const events: Uevent[] = [];
  const buffer = Buffer.alloc(MESSAGE_SIZE);
  let lost = false;
  for (;;) {
    try {
      const length = call("recv", [socket.fd, buffer, buffer.length, 0], ["recv", "uevents"]);
      events.push(parseUevent(buffer.subarray(0, length)));
    } catch (error) {
      if (isErrno(error, "EAGAIN")) {
        return { events, lost };
      }
      if (!isErrno(error, "ENOBUFS")) {
        throw error;
      }
      lost = true;
    }
  }
}
