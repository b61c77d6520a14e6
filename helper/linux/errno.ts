import koffi from "koffi";

// Second names of numbers that errno(3) lists under their first.
const aliases = new Set(["EWOULDBLOCK", "EDEADLOCK", "ENOTSUP"]);
const nameByNumber = new Map(
  Object.entries(koffi.os.errno)
    .filter(([name]) => !aliases.has(name))
    .map(([name, number]) => [number, name]),
);

/**
 * What the kernel said no with: the one error type that leaves `linux/`.
 *
 * `errno` is the kernel's name ("EBUSY", see errno(3)), `call` what was tried ("LOOP_CONFIGURE"), `target` on what.
 */
export class KernelError extends Error {
  override readonly name = "KernelError";

  constructor(
    readonly errno: string,
    readonly call: string,
    readonly target: string,
  ) {
    super(`${call} on ${target}: ${errno}`);
  }
}

/** The kernel's name of an error number, for one without a name the number itself. */
export function errnoName(number: number): string {
  return nameByNumber.get(number) ?? String(number);
}

/** Whether the error is the kernel's and one of these. */
export function isErrno(error: unknown, ...names: string[]): error is KernelError {
  return error instanceof KernelError && names.includes(error.errno);
}

/** Runs a call of Node's fs module and turns its error into ours. */
export function withErrno<T>(call: string, target: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw asKernelError(error, call, target);
  }
}

/** An error of Node's fs module as ours; any other is handed back as it is. */
export function asKernelError(error: unknown, call: string, target: string): unknown {
  if (error instanceof Error && "errno" in error && typeof error.errno === "number") {
    return new KernelError(errnoName(Math.abs(error.errno)), call, target);
  }
  return error;
}
