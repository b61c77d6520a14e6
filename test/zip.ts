/* What is in a zip file, such as a .vsix. */
import { readFileSync } from "node:fs";
import { inflateRawSync } from "node:zlib";

// PKWARE's APPNOTE, 4.3.16, 4.3.12 and 4.3.7: the sizes of the fixed parts, and where in them is what.
const END_SIZE = 22;
const ENTRY_SIZE = 46;
const LOCAL_SIZE = 30;

/** The files in a zip file by their names, in its order. */
export function readZip(file: string): Map<string, Buffer> {
  const zip = readFileSync(file);
  const files = new Map<string, Buffer>();
  // No comment follows, so the end is where it must be.
  const end = zip.subarray(-END_SIZE);
  let at = end.readUInt32LE(16);
  for (let left = end.readUInt16LE(10); left > 0; left--) {
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map((offset) => zip.readUInt16LE(at + offset));
    const name = zip.toString("utf8", at + ENTRY_SIZE, at + ENTRY_SIZE + Number(nameLength));
    const local = zip.readUInt32LE(at + 42);
    const data = local + LOCAL_SIZE + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
    const packed = zip.subarray(data, data + zip.readUInt32LE(at + 20));
    files.set(name, zip.readUInt16LE(at + 10) === 0 ? packed : inflateRawSync(packed));
    at += ENTRY_SIZE + Number(nameLength) + Number(extraLength) + Number(commentLength);
  }
  return files;
}
