/*
 * `npm run bench`: us and our peers side by side, in one run, as root. Prints a table, and writes it as JSON to
 * dist/bench.json. The absolute times are this machine's; the ratios are what counts.
 */
import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describeLoop } from "../../helper/inventory";
import { attach } from "../../helper/loop/attach";
import { detach } from "../../helper/loop/detach";
import { root, TestHelper } from "../helper";
import { compare, type Measured, summarise } from "./measure";

const execute = promisify(execFile);
const MiB = 1 << 20;
const DEVICES = 256;

interface Row {
  what: string;
  ours: Measured;
  against: string;
  theirs: Measured;
  /** How often the slower fits the faster: what is aimed at is `atLeast` times faster, or `atMost` times slower. */
  aim: { atLeast: number } | { atMost: number };
}

const folder = mkdtempSync(join(tmpdir(), "diskloom-bench-"));

function image(name: string, size = 8 * MiB): string {
  const path = join(folder, name);
  writeFileSync(path, "");
  execFileSync("truncate", ["-s", String(size), path]);
  return path;
}

async function attachInEngine(): Promise<Row> {
  const path = image("engine.img");
  const caller = { uid: 0, gid: 0, groups: [], name: "root" };
  const work = { signal: new AbortController().signal, report() {} };
  const wish = {
    path,
    readOnly: "auto",
    offset: 0,
    sizeLimit: 0,
    sectorSize: "probe",
    partitionScan: true,
    directIo: "auto",
    autoclear: false,
    reference: "",
    overlap: "refuse",
    inMemory: false,
  } as const;
  const floor = join(folder, "floor");
  execFileSync("cc", ["-O2", "-o", floor, join(root, "test/bench/floor.c")]);
  const times: number[] = [];
  const floors: number[] = [];
  for (let round = 0; round < 10; round++) {
    for (let n = 0; n < 20; n++) {
      const begun = performance.now();
      const { device } = await attach(wish, caller, work, describeLoop);
      await detach({ device: device.device, confirmForeign: false, whenBusy: "refuse", remove: false }, caller, work);
      times.push(performance.now() - begun);
    }
    floors.push(
      ...execFileSync(floor, [path, "20"], { encoding: "utf8" })
        .trim()
        .split("\n")
        .map((ns) => Number(ns) / 1e6),
    );
  }
  return {
    what: "attach + detach in the engine",
    ours: summarise(times),
    against: "the same ioctls in C",
    theirs: summarise(floors),
    aim: { atMost: 1.5 },
  };
}

async function attachOverProtocol(): Promise<Row> {
  const path = image("protocol.img");
  await using helper = await TestHelper.start();
  const measured = await compare(
    50,
    async () => {
      const { device } = await helper.request("loop/attach", { path });
      await helper.request("loop/detach", { device: device.device, diskSequence: device.diskSequence });
    },
    async () => {
      const { stdout } = await execute("losetup", ["-f", "--show", path]);
      await execute("losetup", ["-d", stdout.trim()]);
    },
  );
  return {
    what: "attach + detach over JSON-RPC",
    against: "losetup -f, losetup -d",
    aim: { atLeast: 10 },
    ...measured,
  };
}

async function listMany(): Promise<Row[]> {
  await using helper = await TestHelper.start();
  const devices: string[] = [];
  try {
    for (let n = 0; n < DEVICES; n++) {
      const { device } = await helper.request("loop/attach", { path: image(`many-${n}.img`, MiB) });
      devices.push(device.device);
    }
    const list = () => helper.request("devices/list", {});
    const losetup = await compare(10, list, () => execute("losetup", ["--list", "--json"], { maxBuffer: 64 * MiB }));
    const lsblk = await compare(10, list, () => execute("lsblk", ["--json"], { maxBuffer: 64 * MiB }));
    const what = `list ${DEVICES} devices, with their contents`;
    return [
      { what, against: "losetup --list --json", aim: { atLeast: 8 }, ...losetup },
      { what, against: "lsblk --json", aim: { atLeast: 4 }, ...lsblk },
    ];
  } finally {
    for (const device of devices) {
      await helper.request("loop/detach", { device });
    }
  }
}

async function inspect(): Promise<Row> {
  const path = image("gpt.img", 64 * MiB);
  execFileSync("sfdisk", ["--quiet", path], { input: "label: gpt\nsize=16MiB\nsize=16MiB\nsize=16MiB\n" });
  await using helper = await TestHelper.start();
  const measured = await compare(
    50,
    () => helper.request("image/inspect", { path }),
    async () => {
      await execute("blkid", ["-p", path]);
      await execute("sfdisk", ["--json", path]);
    },
  );
  return { what: "inspect a GPT image", against: "blkid -p, sfdisk --json", aim: { atLeast: 4 }, ...measured };
}

async function firstReply(): Promise<Row> {
  const measured = await compare(
    20,
    async () => {
      await using _helper = await TestHelper.start();
    },
    () => execute(process.execPath, ["-e", "0"]),
  );
  return { what: "start to first reply, and end", against: "node -e 0", aim: { atMost: 1.3 }, ...measured };
}

async function memory(): Promise<string> {
  const resident = (pid: number | undefined) =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
  const bare = Number(
    execFileSync(process.execPath, ["-e", "console.log(process.memoryUsage.rss() / 2 ** 20)"], { encoding: "utf8" }),
  );
  await using helper = await TestHelper.start();
  await helper.request("devices/list", {});
  return `memory of the idle helper: ${resident(helper.process.pid).toFixed(0)} MiB, of a bare node: ${bare.toFixed(0)} MiB`;
}

function verdict({ ours, theirs, aim }: Row): { ratio: string; met: boolean } {
  if ("atLeast" in aim) {
    const ratio = theirs.median / ours.median;
    return { ratio: `${ratio.toFixed(1)} times faster (aim: ${aim.atLeast})`, met: ratio >= aim.atLeast };
  }
  const ratio = ours.median / theirs.median;
  return { ratio: `${ratio.toFixed(2)} times (aim: at most ${aim.atMost})`, met: ratio <= aim.atMost };
}

async function main(): Promise<void> {
  try {
    const rows = [
      await attachInEngine(),
      await attachOverProtocol(),
      ...(await listMany()),
      await inspect(),
      await firstReply(),
    ];
    const cells = rows.map((row) => {
      const { ratio, met } = verdict(row);
      const time = ({ median, p99 }: Measured) => `${median.toFixed(2)} / ${p99.toFixed(2)}`;
      return {
        "": met ? "ok" : "MISSED",
        what: row.what,
        "ms (median / p99)": time(row.ours),
        against: row.against,
        theirs: time(row.theirs),
        ratio,
      };
    });
    console.table(cells);
    console.log(await memory());
    writeFileSync(join(root, "dist/bench.json"), `${JSON.stringify(rows, null, 2)}\n`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
