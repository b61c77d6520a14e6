/* Names and uuids of mapper devices: which there can be, and how the kernel has them. */
import { DM_NAME_LEN, DM_UUID_LEN, type DmName } from "../linux/dm";
import { Problem } from "../problem";

// What udev's rules leave alone in the name of a link. The kernel takes any character but "/"; that all others are
// written as \xNN is a convention of libdm's that every tool keeps, so we keep it too.
const PLAIN = /[0-9A-Za-z#+\-.:=@_]/;

/** The names that a node under /dev/mapper can't have. */
const RESERVED = new Set([".", "..", "control"]);

/**
 * A name as the kernel has it, from one that people use: "my disk" becomes "my\x20disk". One that is escaped already
 * is left as it is, as dmsetup does by default.
 * @throws Problem invalid
 */
export function escapeName(name: string): DmName {
  if (name === "" || RESERVED.has(name)) {
    throw new Problem("invalid", `A mapper device can't be called ${JSON.stringify(name)}. Choose another name.`);
  }
  if (name.includes("/") || name.includes("\0")) {
    throw new Problem("invalid", `The name ${JSON.stringify(name)} contains a slash or a NUL. Leave it out.`);
  }
  return escapeText(name, "name", DM_NAME_LEN - 1) as DmName;
}

/** A uuid as the kernel has it; "" for none. @throws Problem invalid */
export function escapeUuid(uuid: string): string {
  if (uuid.includes("\0")) {
    throw new Problem("invalid", "The uuid contains a NUL. Leave it out.");
  }
  return escapeText(uuid, "uuid", DM_UUID_LEN - 1);
}

/** A name or uuid as people use it, from the kernel's. Bytes that are no text stay escaped. */
export function readable(escaped: string): string {
  const bytes: number[] = [];
  for (let at = 0; at < escaped.length; at++) {
    const code = /^\\x([0-9A-Fa-f]{2})/.exec(escaped.slice(at, at + 4))?.[1];
    if (code === undefined) {
      bytes.push(...Buffer.from(escaped[at] ?? ""));
    } else {
      bytes.push(Number.parseInt(code, 16));
      at += 3;
    }
  }
  const text = Buffer.from(bytes).toString("utf8");
  return text.includes("\uFFFD") ? escaped : text;
}

function escapeText(text: string, what: "name" | "uuid", limit: number): string {
  const isEscaped = text.includes("\\x");
  const rest = text.replace(/\\x[0-9A-Fa-f]{2}/g, "");
  // Part escaped and part not can mean two things. Backslashes of one's own make it three.
  if (isEscaped && [...rest].some((character) => !PLAIN.test(character))) {
    const advice = "Write it without any \\x…, or escape every special character.";
    throw new Problem("invalid", `The ${what} ${JSON.stringify(text)} is escaped only in part. ${advice}`);
  }
  const escaped = isEscaped ? text : [...text].map(escapeCharacter).join("");
  if (Buffer.byteLength(escaped) > limit) {
    const why = escaped === text ? "" : ` Special characters count as four: it becomes ${escaped}.`;
    throw new Problem("invalid", `The ${what} is too long: the device mapper has room for ${limit} characters.${why}`);
  }
  return escaped;
}

function escapeCharacter(character: string): string {
  if (PLAIN.test(character)) {
    return character;
  }
  return [...Buffer.from(character)].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
}
