/*
 * The C library, as far as we call it. All of it goes through `call` and `callAsync`, which never lose errno, and all
 * ioctls through one replaceable layer, so that a test can play a kernel that isn't at hand.
 */
import koffi from "koffi";
import { errnoName, KernelError } from "./errno";
import { whenRoom } from "./room";

declare const fdBrand: unique symbol;
/** An open file descriptor of this process. */
export type Fd = number & { readonly [fdBrand]: true };

// Loaded from the running program, which is linked with the C library: the same on glibc and musl.
const program = koffi.load(null);

// Not declared as variadic, as koffi can't call a variadic function asynchronously. The calling conventions of x86-64
// and AArch64 Linux pass these arguments alike either way.
const functions = {
  open: program.func("int open(const char *path, int flags, unsigned int mode)"),
  openat: program.func("int openat(int folder, const char *path, int flags, unsigned int mode)"),
  close: program.func("int close(int fd)"),
  faccessat: program.func("int faccessat(int folder, const char *path, int mode, int flags)"),
  ioctl: program.func("int ioctl(int fd, unsigned long request, void *argument)"),
  ioctlValue: program.func("ioctl", "int", ["int", "unsigned long", "long"]),
  flock: program.func("int flock(int fd, int operation)"),
  fstatfs: program.func("int fstatfs(int fd, void *status)"),
  fsync: program.func("int fsync(int fd)"),
  sync: program.func("void sync()"),
  syncfs: program.func("int syncfs(int fd)"),
  mknod: program.func("int mknod(const char *path, unsigned int mode, uint64_t device)"),
  umask: program.func("unsigned int umask(unsigned int mask)"),
  chmod: program.func("int chmod(const char *path, unsigned int mode)"),
  socket: program.func("int socket(int domain, int type, int protocol)"),
  sendto: program.func(
    "long sendto(int fd, const void *buffer, size_t length, int flags, const void *address, unsigned int addressLength)",
  ),
  bind: program.func("int bind(int fd, const void *address, unsigned int length)"),
  setsockopt: program.func("int setsockopt(int fd, int level, int option, const void *value, unsigned int length)"),
  recv: program.func("long recv(int fd, void *buffer, size_t length, int flags)"),
  _exit: program.func("void _exit(int status)"),
  eventfd: program.func("int eventfd(unsigned int initial, int flags)"),
  write: program.func("long write(int fd, const void *buffer, size_t length)"),
  read: program.func("long read(int fd, void *buffer, size_t length)"),
  poll: program.func("int poll(void *fds, unsigned long count, int timeout)"),
  syscall: program.func("long syscall(long number, long a, long b, long c)"),
  syscallPointer: program.func("syscall", "long", ["long", "long", "void *", "long"]),
  cachestat: program.func("syscall", "long", ["long", "int", "void *", "void *", "unsigned int"]),
  umount2: program.func("int umount2(const char *target, int flags)"),
  mount: program.func(
    "int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)",
  ),
  fsopen: program.func("syscall", "long", ["long", "const char *", "long"]),
  fsconfig: program.func("syscall", "long", ["long", "long", "long", "const char *", "const char *", "long"]),
  clone: program.func("int clone(void *start, void *stack, int flags, void *argument)"),
  waitpid: program.func("int waitpid(int pid, void *status, int options)"),
  mount_setattr: program.func("syscall", "long", ["long", "long", "const char *", "long", "void *", "long"]),
  preadv2: program.func("syscall", "long", ["long", "int", "const void *", "long", "long", "long", "int"]),
  openat2: program.func("syscall", "long", ["long", "int", "const char *", "const void *", "size_t"]),
  openat2Bytes: program.func("syscall", "long", ["long", "int", "const void *", "const void *", "size_t"]),
  statx: program.func("syscall", "long", ["long", "int", "const char *", "int", "unsigned int", "void *"]),
  open_tree: program.func("syscall", "long", ["long", "long", "const char *", "long"]),
  move_mount: program.func("syscall", "long", ["long", "long", "const char *", "long", "const char *", "long"]),
  memfd_create: program.func("int memfd_create(const char *name, unsigned int flags)"),
  lseek: program.func("long lseek(int fd, long offset, int whence)"),
  semget: program.func("int semget(int key, int count, int flags)"),
  semctl: program.func("int semctl(int id, int number, int command, long argument)"),
  semop: program.func("int semop(int id, void *operations, size_t count)"),
  semtimedop: program.func("int semtimedop(int id, void *operations, size_t count, const void *timeout)"),
} satisfies Record<string, ReturnType<typeof program.func>>;

type FunctionName = keyof typeof functions;
type Argument = number | bigint | string | Uint8Array | Uint32Array | null;

/**
 * Calls a function that can't take long.
 * @param what the call and its target, for the error: ["LOOP_GET_STATUS64", "/dev/loop3"]
 * @throws KernelError where the function returns a negative number
 */
export function call(name: FunctionName, args: Argument[], what: readonly [call: string, target: string]): number {
  const result = attempt(name, args, what);
  if (result < 0) {
    throw new KernelError(errnoName(-result), ...what);
  }
  return result;
}

/** As `call`, where failing is no surprise and an error would be made for nothing: the negative errno instead. */
export function attempt(name: FunctionName, args: Argument[], what: readonly [call: string, target: string]): number {
  refuseNul(args, what);
  const result = Number(functions[name](...args));
  return result < 0 ? -koffi.errno() : result;
}

/** Calls a function that can take long, on a thread of libuv's pool. As `call`, otherwise. */
export function callAsync(
  name: FunctionName,
  args: Argument[],
  what: readonly [call: string, target: string],
): Promise<number> {
  refuseNul(args, what);
  return whenRoom(() => callOnPool(name, args, what));
}

function callOnPool(
  name: FunctionName,
  args: Argument[],
  what: readonly [call: string, target: string],
): Promise<number> {
  return new Promise((resolve, reject) => {
    functions[name].async(...args, (error: unknown, returned: unknown) => {
      // Two things are only right within this callback: errno is still that of the call, and naming the arguments
      // here is what has kept their memory alive while the call ran.
      const failed = Number(returned) < 0 ? errnoName(koffi.errno()) : undefined;
      args.length = 0;
      if (error) {
        reject(error);
      } else if (failed !== undefined) {
        reject(new KernelError(failed, ...what));
      } else {
        resolve(Number(returned));
      }
    });
  });
}

// koffi hands a string on up to its first NUL: "/a\0b" would silently become "/a".
function refuseNul(args: Argument[], what: readonly [call: string, target: string]): void {
  for (const argument of args) {
    if (typeof argument === "string" && argument.includes("\0")) {
      throw new KernelError("EINVAL", ...what);
    }
  }
}

/**
 * The same, bare, for thousands of calls on end that can't take long: `call` takes several times as long as they do. They
 * return a negative number where they fail, and whoever wants to know why makes the call again by `call`. No string may
 * have a NUL in it, and a layer before the ioctls doesn't see these.
 */
export const bare = functions as Pick<Record<FunctionName, (...args: Argument[]) => number>, BareName>;
type BareName = "openat" | "preadv2" | "ioctl" | "cachestat" | "statx" | "close";

/** One ioctl as it goes to the kernel. `argument` is memory, a number (most requests of the loop driver), or nothing. */
export interface Ioctl {
  fd: Fd;
  request: number;
  argument: Uint8Array | number | null;
  what: readonly [call: string, target: string];
}

/** What stands between the engine and the kernel's ioctls. */
export interface IoctlLayer {
  sync(ioctl: Ioctl): number;
  async(ioctl: Ioctl): Promise<number>;
}

const kernel: IoctlLayer = {
  sync: ({ fd, request, argument, what }) =>
    call(typeof argument === "number" ? "ioctlValue" : "ioctl", [fd, request, argument], what),
  async: ({ fd, request, argument, what }) =>
    callAsync(typeof argument === "number" ? "ioctlValue" : "ioctl", [fd, request, argument], what),
};
let layer = kernel;

/** An ioctl that can't take long. */
export function ioctl(fd: Fd, request: number, argument: Ioctl["argument"], what: Ioctl["what"]): number {
  return layer.sync({ fd, request, argument, what });
}

/** An ioctl that can take long: it waits for I/O, for a lock, or for a queue to be frozen. */
export function ioctlAsync(fd: Fd, request: number, argument: Ioctl["argument"], what: Ioctl["what"]): Promise<number> {
  return layer.async({ fd, request, argument, what });
}

/**
 * Puts a layer of one's own before the kernel's ioctls until it is disposed of: how tests meet old kernels and rare
 * errors. The layer gets the one below to pass on what it doesn't want to answer.
 */
export function interposeIoctl(make: (below: IoctlLayer) => IoctlLayer): Disposable {
  const below = layer;
  layer = make(below);
  return {
    [Symbol.dispose]() {
      layer = below;
    },
  };
}
