/*
 * Runs a command line as root by sudo-prompt, and ends when it does. Its stdin is the extension host's hold on it: when
 * that ends, so does everything here. See ../polkit.ts.
 *
 *   polkit.js LINE STDIN STDOUT
 */
import { closeSync, constants, openSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { exec } from "sudo-prompt";

const [line = "", ...fifos] = process.argv.slice(2);

process.stdin.resume();
process.stdin.on("close", () => {
  // A root's shell may just be waiting for the other end of a FIFO: it gets one, for a moment.
  const ends = fifos.flatMap((path) => {
    try {
      return [openSync(path, constants.O_RDWR | constants.O_NONBLOCK)];
    } catch {
      return [];
    }
  });
  for (const fifo of fifos) {
    rmSync(dirname(fifo), { recursive: true, force: true });
  }
  ends.forEach(closeSync);
  // Our group: pkexec is ours to end as long as its dialog is open, and what runs as root then is not.
  process.kill(0, "SIGTERM");
});

exec(line, { name: "Diskloom" }, (error, _, stderr) => {
  if (error) {
    process.stderr.write(`${error.message}\n${stderr ?? ""}\n`);
  }
  process.exit(error ? 1 : 0);
});
