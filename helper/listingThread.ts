/* The thread that makes long lists: see listing.ts. */
import { setFlagsFromString } from "node:v8";
import { parentPort } from "node:worker_threads";
import type { Answer, Bytes, Question } from "./listing";
import { listAgain, type Remembered } from "./relisting";
import { HEADROOM, TAILROOM } from "./written";

/** One list after the other. */
export function answerQuestions(): void {
  // For both threads from now on. To optimise our code takes 5 MiB for good, and saves a tenth of a list's time; of the
  // hottest function alone 2 MiB. What the first list leaves is collected once, and its gaps would stay.
  setFlagsFromString("--no-opt");
  setFlagsFromString("--compact-on-every-full-gc");
  const port = parentPort;
  const remembered: Remembered = new Map();
  const answer = async ({ id, used }: Question) => {
    try {
      const devices = await listAgain(remembered);
      const written = write(devices, used);
      port?.postMessage({ id, written, count: devices.length } satisfies Answer, [written.bytes.buffer]);
    } catch {
      port?.postMessage({ id, count: Number.POSITIVE_INFINITY } satisfies Answer);
    }
  };
  let last: Promise<void> = Promise.resolve();
  port?.on("message", (question: Question) => {
    last = last.then(() => answer(question));
  });
}

const [BEGIN, COMMA, END] = ['{"devices":[', ",", "]}"].map((text) => Buffer.from(text)) as [Buffer, Buffer, Buffer];

function write(devices: readonly Uint8Array[], used: Bytes | undefined): { bytes: Bytes; length: number } {
  let length = BEGIN.length + Math.max(0, devices.length - 1) * COMMA.length + END.length;
  for (const device of devices) {
    length += device.length;
  }
  const needed = HEADROOM + length + TAILROOM;
  const bytes = used && used.length >= needed ? used : new Uint8Array(needed);
  bytes.set(BEGIN, HEADROOM);
  let position = HEADROOM + BEGIN.length;
  for (const device of devices) {
    bytes.set(device, position);
    position += device.length;
    bytes.set(COMMA, position);
    position += COMMA.length;
  }
  // The last device has no comma behind it.
  bytes.set(END, HEADROOM + length - END.length);
  return { bytes, length };
}
