/*
 * The program that `sudo -A` runs for a password: it asks the extension host over the socket in DISKLOOM_ASKPASS_SOCKET
 * and prints the answer, which only sudo reads. See ../askpass.ts.
 */
import { writeSync } from "node:fs";
import { connect } from "node:net";

const STDOUT = 1;
const STDERR = 2;

function main(): void {
  const path = process.env.DISKLOOM_ASKPASS_SOCKET;
  if (!path) {
    process.stderr.write("This program is run by sudo, for Diskloom.\n");
    process.exit(1);
  }
  const socket = connect(path);
  let received = "";
  let proven = false;
  socket.write(`${(process.argv[2] ?? "").replaceAll("\n", " ").slice(0, 1000)}\n`);
  socket.setEncoding("utf8");
  socket.on("data", (text) => {
    received += text;
    const end = received.indexOf("\n");
    if (end < 0) {
      return;
    }
    if (!proven) {
      proven = true;
      writeSync(STDERR, `diskloom-askpass ${received.slice(0, end)}\n`);
      received = received.slice(end + 1);
    } else {
      writeSync(STDOUT, received.slice(0, end + 1));
      process.exit(0);
    }
  });
  // No answer: the user has cancelled, or the extension host is gone. sudo takes an empty answer for the end.
  for (const event of ["error", "close"]) {
    socket.on(event, () => process.exit(1));
  }
}

main();
