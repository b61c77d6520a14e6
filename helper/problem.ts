import { getSystemErrorMap } from "node:util";
import { mayAdministrate } from "./linux/capabilities";
import { KernelError } from "./linux/errno";
import type { ProblemData, Reason } from "./protocol";

/** Why a request can't be met: what becomes the protocol's error. The message is a sentence that a person can act on. */
export class Problem extends Error {
  override readonly name = "Problem";
  readonly data: ProblemData;

  constructor(reason: Reason, message: string, data: Omit<ProblemData, "reason"> = {}) {
    super(message);
    this.data = { reason, ...data };
  }

  /** With what the kernel said, for those who look closer. */
  static of(reason: Reason, message: string, cause: KernelError, data: Omit<ProblemData, "reason"> = {}): Problem {
    return new Problem(reason, message, { errno: cause.errno, call: cause.call, ...data });
  }
}

const descriptions = new Map([...getSystemErrorMap().values()]);

/** An error number in words: "device or resource busy (EBUSY)". */
export function inWords(errno: string): string {
  const words = descriptions.get(errno);
  return words ? `${words} (${errno})` : errno;
}

const privileged = process.geteuid?.() === 0;
const CONFINED =
  "Root may not do that in here: this container or sandbox lacks CAP_SYS_ADMIN. Start it with “--privileged”, or attach " +
  "the image outside of it.";

/** What the kernel said, for which no room nearer to the user's wish has found better words. */
export function problemOf(error: unknown): Problem | undefined {
  if (error instanceof Problem) {
    return error;
  }
  if (!(error instanceof KernelError)) {
    return undefined;
  }
  const said = `${error.call} on ${error.target} failed: ${inWords(error.errno)}.`;
  switch (error.errno) {
    case "EACCES":
    case "EPERM":
      return privileged
        ? Problem.of("notPermitted", mayAdministrate() ? said : `${said} ${CONFINED}`, error)
        : Problem.of("notPrivileged", `That needs administrator rights. ${said}`, error);
    case "ENOENT":
    case "ENODEV":
    case "ENXIO":
      return Problem.of("notFound", said, error);
    case "EBUSY":
      return Problem.of("busy", said, error, { users: [] });
    case "ENOTTY":
    case "ENOSYS":
    case "EOPNOTSUPP":
      return Problem.of("unsupported", `This kernel can't do that: ${said}`, error);
    default:
      return Problem.of("kernel", said, error);
  }
}
