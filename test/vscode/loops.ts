/* The machine's loop devices as util-linux sees them: a witness that is none of ours. */
import { readFileSync } from "node:fs";
import { run } from "../images";
import { until } from "./until";

export interface Loop {
  /** Its node: "/dev/loop3". */
  device: string;
  image: string;
  readOnly: boolean;
  autoclear: boolean;
}

/** `losetup --list`: all that are bound, whoever bound them. */
export function loops(): Loop[] {
  // Not as JSON, which it writes wrongly where a name isn't UTF-8.
  const text = run("losetup", ["--list", "--noheadings", "--raw", "--output", "NAME,RO,AUTOCLEAR,BACK-FILE"]);
  return text.split("\n").flatMap((line): Loop[] => {
    const [, device, readOnly, autoclear, image] = /^(\S+) (\d) (\d) (.*)$/.exec(line) ?? [];
    return device !== undefined && image !== undefined
      ? [{ device, image: unescaped(image), readOnly: readOnly === "1", autoclear: autoclear === "1" }]
      : [];
  });
}

function unescaped(text: string): string {
  const bytes = text.replace(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return /[^\0-\xff]/.test(text) ? text : Buffer.from(bytes, "latin1").toString("utf8");
}

/** Those on images of one folder: tests touch no others, as the machine is shared. */
export function loopsUnder(folder: string): Loop[] {
  return loops().filter(({ image }) => image.startsWith(`${folder}/`));
}

/** The loop device of an image. */
export function loopOf(image: string): Loop | undefined {
  return loops().find((loop) => loop.image === image);
}

/** Attaches an image behind Diskloom's back, as somebody does in a terminal; to a device of one's choice, if given. */
export function losetup(image: string, device?: string): string {
  if (device === undefined) {
    return run("losetup", ["--find", "--show", image]).trim();
  }
  run("losetup", [device, image]);
  return device;
}

/** Detaches a device as somebody does in a terminal, and waits until it is gone. */
export async function losetupDetach({ device, image }: Pick<Loop, "device" | "image">): Promise<void> {
  run("losetup", ["--detach", device]);
  await until(`the end of ${device}`, () => !loops().some((loop) => loop.device === device && loop.image === image));
}

/** Unmounts and detaches all that is left of a folder's images. */
export async function releaseAllUnder(folder: string): Promise<void> {
  for (const loop of loopsUnder(folder)) {
    for (const target of mountsOf(loop.device)) {
      run("umount", [target]);
    }
    await losetupDetach(loop);
  }
}

/** Where a device is mounted. */
export function mountsOf(device: string): string[] {
  const mounts = readFileSync("/proc/self/mounts", "utf8").split("\n");
  return mounts.flatMap((line) => {
    const [source, target] = line.split(" ");
    // proc_pid_mounts(5): a space is written as \040.
    const path = target?.replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
    return source === device && path !== undefined ? [path] : [];
  });
}
