/* The device-mapper engine on a kernel that has one, with udev and without, measured by dmsetup. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { createInterface } from "node:readline";
import { after, afterEach, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { formatTable, parseTable } from "../../extension/devices/tableText";
import { type DmName, dmFlags } from "../../helper/linux/dm";
import type { DmControl } from "../../helper/linux/dmcontrol";
import { isErrno } from "../../helper/linux/errno";
import { numberOfNode } from "../../helper/linux/node";
import { nameOf } from "../../helper/linux/sysfs";
import { clearMapper } from "../../helper/mapper/clear";
import { mapperPresent, openControl } from "../../helper/mapper/control";
import { createMapper } from "../../helper/mapper/create";
import { listMappers, type MapperDescription } from "../../helper/mapper/describe";
import { loadMapper } from "../../helper/mapper/load";
import { messageMapper } from "../../helper/mapper/message";
import { isProvisional, removeLeftovers } from "../../helper/mapper/provisional";
import { type RemoveDeps, removeMapper } from "../../helper/mapper/remove";
import { renameMapper } from "../../helper/mapper/rename";
import { resumeMapper } from "../../helper/mapper/resume";
import { mapperStatus } from "../../helper/mapper/status";
import { suspendMapper } from "../../helper/mapper/suspend";
import { listTargets } from "../../helper/mapper/targets";
import { udevMakesNodes } from "../../helper/mapper/udev";
import { waitForMapper } from "../../helper/mapper/wait";
import { unmountAll } from "../../helper/mount/unmount";
import { Cancelled } from "../../helper/pause";
import { Problem } from "../../helper/problem";
import type { Reason } from "../../helper/protocol";
import { usersOf } from "../../helper/users";
import { MiB, run, Workshop } from "../images";

/** How long helpers and dmsetup race for the same names; every second is one of the guest's, too. */
const RACE_SECONDS = Number(process.env.DISKLOOM_RACE_SECONDS ?? 30);
const KILLS = Number(process.env.DISKLOOM_KILLS ?? 16);
const FLEET = 200;
const all = { flush: true, freeze: true };

function depsOf(control: DmControl, signal = new AbortController().signal): RemoveDeps {
  return {
    control,
    signal,
    log: (level, message) => process.stderr.write(`${level}: ${message}\n`),
    usersOf: async (device) => usersOf(nameOf(device) ?? ""),
    unmountAll: async (device) => unmountAll(nameOf(device) ?? "", { signal, report() {} }),
  };
}

async function refused(deed: Promise<unknown>, reason: Reason, message = /./): Promise<Problem> {
  const error = await deed.then(
    () => assert.fail("not refused"),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof Problem)) {
    throw error;
  }
  assert.equal(error.data.reason, reason, error.message);
  assert.match(error.message, message);
  return error;
}

function linear(device: string, length = 2048, offset = 0) {
  return [{ startSectors: 0, lengthSectors: length, type: "linear", params: `${device} ${offset}` }];
}

const zeros = (length: number) => [{ startSectors: 0, lengthSectors: length, type: "zero", params: "" }];

// ── What runs in processes of its own: this file, told by its environment what to do ────────────────────────────────

interface Child {
  deed: "make and remove" | "race" | "container";
  name: string;
  owner?: string;
  sectors?: number;
  seconds?: number;
}

async function child({ deed, name, owner = "", sectors = 2048, seconds = 0 }: Child): Promise<void> {
  using control = openControl();
  const deps = depsOf(control);
  if (deed === "make and remove") {
    for (;;) {
      process.stdout.write("making\n");
      const device = await createMapper({ name, uuid: `KILL-${name}`, table: zeros(sectors) }, deps);
      process.stdout.write("removing\n");
      await removeMapper({ ...device, whenBusy: "refuse" }, deps);
    }
  }
  if (deed === "container") {
    const device = await createMapper({ name, table: zeros(sectors) }, deps);
    assert.equal(numberOfNode(device.device), device.devnum);
    const suspended = await suspendMapper({ ...device, ...all }, deps);
    assert.ok(suspended.suspended);
    await removeMapper({ ...device, whenBusy: "refuse" }, deps);
    assert.ok(!existsSync(device.device));
    return;
  }
  let made = 0;
  let lost = 0;
  let stale = 0;
  let former: MapperDescription | undefined;
  for (const end = Date.now() + seconds * 1000; Date.now() < end; ) {
    const chosen = `${name}-${Math.floor(Math.random() * 3)}`;
    let device: MapperDescription;
    try {
      device = await createMapper({ name: chosen, uuid: `${owner}-${made}`, table: zeros(sectors) }, deps);
    } catch (error) {
      if (!(error instanceof Problem) || error.data.reason !== "busy") {
        throw error;
      }
      lost++;
      if (former?.name === chosen) {
        // The name is somebody else's now: to ask for the one that we had must not touch it.
        const deed = removeMapper({ ...former, whenBusy: "refuse" }, deps);
        const reason = await deed.then(
          () => "removed",
          (problem) => (problem as Problem).data?.reason ?? String(problem),
        );
        assert.ok(["stale", "notFound"].includes(reason), `${chosen} of somebody else: ${reason}`);
        stale++;
      }
      await sleep(Math.random() * 50);
      continue;
    }
    made++;
    assert.deepEqual([device.uuid, device.size], [`${owner}-${made - 1}`, sectors * 512]);
    assert.equal(numberOfNode(device.device), device.devnum);
    await sleep(Math.random() * 50);
    const now = await suspendMapper({ ...device, ...all }, deps);
    assert.deepEqual([now.uuid, now.devnum, now.diskSequence], [device.uuid, device.devnum, device.diskSequence]);
    await resumeMapper({ ...device, ...all }, deps);
    await removeMapper({ ...device, whenBusy: "refuse" }, deps);
    former = device;
  }
  process.stdout.write(`${JSON.stringify({ made, lost, stale })}\n`);
}

function startChild(what: Child, wrapper: string[] = []): ChildProcess {
  const [program = "", ...args] = [...wrapper, process.execPath, __filename];
  const env = { ...process.env, DISKLOOM_MAPPER_CHILD: JSON.stringify(what), NODE_TEST_CONTEXT: "" };
  return spawn(program, args, { env, stdio: ["ignore", "pipe", "inherit"] });
}

async function ended(process: ChildProcess): Promise<string> {
  let output = "";
  process.stdout?.on("data", (chunk: Buffer) => {
    output += chunk;
  });
  const status = await new Promise((resolve) => process.on("close", (code, signal) => resolve(signal ?? code)));
  assert.equal(status, 0, output);
  return output;
}

// ── The tests ───────────────────────────────────────────────────────────────────────────────────────────────────────

function tests(): void {
  const workshop = new Workshop();
  let control: DmControl;
  let deps: RemoveDeps;
  const loops: string[] = [];

  /** A loop device over an image of that size in bytes. */
  function loop(name: string, size: number, ...options: string[]): string {
    const device = run("losetup", ["--find", "--show", ...options, workshop.blank(name, size)]).trim();
    loops.push(device);
    return device;
  }

  const remove = (device: MapperDescription) => removeMapper({ ...device, whenBusy: "refuse" }, deps);

  function names(): string[] {
    return control.listDevices().map(({ name }) => name);
  }

  before(() => {
    control = openControl();
    deps = depsOf(control);
  });

  after(() => {
    for (const device of loops) {
      spawnSync("losetup", ["--detach", device]);
    }
    workshop[Symbol.dispose]();
    control[Symbol.dispose]();
  });

  afterEach(() => {
    const left = names();
    if (left.length > 0) {
      // So that one failure doesn't become all.
      spawnSync("dmsetup", ["remove_all", "--force"]);
      assert.deepEqual(left, [], "devices left over");
    }
    const [, ...semaphores] = readFileSync("/proc/sysvipc/sem", "utf8").trimEnd().split("\n");
    assert.deepEqual(semaphores, [], "semaphores left over");
  });

  describe("the control node", () => {
    it("is there, and speaks version 4", () => {
      assert.ok(mapperPresent());
      assert.match(control.version, /^4\.\d+\.\d+$/);
      assert.match(run("dmsetup", ["version"]), new RegExp(`Driver version: +${control.version}`));
    });

    it("is made where it is missing", () => {
      unlinkSync("/dev/mapper/control");
      using again = openControl();
      assert.equal(again.version, control.version);
      assert.ok(lstatSync("/dev/mapper/control").isCharacterDevice());
    });
  });

  it("agrees with dmsetup about every target, whoever made the device", { timeout: 120_000 }, async () => {
    const data = loop("data", 16 * MiB);
    const other = loop("other", 16 * MiB);
    const hashes = loop("hashes", 4 * MiB);
    const exceptions = { we: loop("exceptions-1", 2 * MiB), they: loop("exceptions-2", 2 * MiB) };
    const formatted = run("veritysetup", ["format", "--data-blocks=256", data, hashes]);
    const digest = /Root hash:\s+(\w+)/.exec(formatted)?.[1];
    const salt = /Salt:\s+(\w+)/.exec(formatted)?.[1];
    const key = randomBytes(32).toString("hex");
    const tables = (who: "we" | "they"): Record<string, string> => ({
      linear: `0 2048 linear ${data} 2048\n2048 1024 linear ${other} 0`,
      striped: `0 4096 striped 2 16 ${data} 8192 ${other} 8192`,
      zero: "0 1 zero",
      error: "0 8 error",
      delay: `0 2048 delay ${data} 8 5 ${other} 16 7`,
      flakey: `0 2048 flakey ${data} 8 60 0 1 drop_writes`,
      "snapshot-origin": `0 4096 snapshot-origin ${other}`,
      snapshot: `0 4096 snapshot ${other} ${exceptions[who]} P 16`,
      verity: `0 2048 verity 1 ${data} ${hashes} 4096 4096 256 1 sha256 ${digest} ${salt}`,
      crypt: `0 2048 crypt aes-xts-plain64 ${key} 7 ${data} 16384 1 allow_discards`,
      "with space ü": "0 16 zero",
    });
    const mine: MapperDescription[] = [];
    for (const [type, text] of Object.entries(tables("we"))) {
      const readOnly = type === "verity";
      mine.push(
        await createMapper({ name: `we-${type}`, uuid: `WE-${type}`, readOnly, table: parseTable(text) }, deps),
      );
    }
    // One process for all: each costs as much as ten of our own.
    const script = Object.entries(tables("they")).map(
      ([type, text]) =>
        `dmsetup create 'they-${type}' --uuid 'THEY-${type}' ${type === "verity" ? "--readonly" : ""} <<'END'\n${text}\nEND\n`,
    );
    run("sh", ["-e"], `${script.join("")}dmsetup suspend they-zero; echo 0 4 zero | dmsetup load they-error\n`);

    const separator = "\x1f";
    const ask = (command: string) => run("dmsetup", [command]).trimEnd().split("\n");
    const fields = "name,uuid,blkdevname,major,minor,open,segments,events,suspended,readonly,tables_loaded";
    const info = run("dmsetup", ["info", "-c", "--noheadings", "--separator", separator, "-o", fields]).trimEnd();
    const listed = listMappers(control);
    assert.deepEqual(
      listed
        .map((device) => [
          device.name,
          device.uuid,
          device.node.slice("/dev/".length),
          ...device.devnum.split(":"),
          String(device.openCount),
          String(device.table.length),
          String(device.eventNumber),
          device.suspended ? "Suspended" : "Active",
          device.readOnly ? "Read-only" : "Writeable",
          device.hasInactiveTable ? "Both" : "Live",
        ])
        .sort(),
      info
        .split("\n")
        .map((line) => line.split(separator))
        .sort(),
    );

    const byName = (lines: string[]) => lines.map((line) => line.trimEnd()).sort();
    const lines = listed.flatMap((device) => {
      const text = formatTable(device.table).trimEnd();
      return text.split("\n").map((line) => `${device.name}: ${line}`);
    });
    assert.deepEqual(byName(lines), byName(ask("table")));
    assert.ok(!JSON.stringify(listed).includes(key) && JSON.stringify(listed).includes("0".repeat(key.length)));

    const statuses: string[] = [];
    for (const device of listed) {
      const { status, eventNumber } = await mapperStatus(device, deps);
      assert.equal(eventNumber, device.eventNumber);
      statuses.push(
        ...formatTable(status)
          .trimEnd()
          .split("\n")
          .map((line) => `${device.name}: ${line}`),
      );
    }
    assert.deepEqual(byName(statuses), byName(ask("status")));

    const dependencies = listed.map(({ name, dependencies }) => {
      const numbers = dependencies.map((number) => `(${number.replace(":", ", ")})`);
      return `${name}: ${numbers.length} dependencies\t: ${numbers.join(" ")}`;
    });
    assert.deepEqual(byName(dependencies), byName(ask("deps")));

    const versions = listTargets(deps).map(({ name, version }) => `${name} v${version}`);
    assert.deepEqual(
      versions.sort(),
      ask("targets")
        .map((line) => line.replace(/\s+/g, " ").trimEnd())
        .sort(),
    );

    for (const device of listed) {
      assert.equal(numberOfNode(device.device), device.devnum);
      const size = device.table.reduce((sum, { lengthSectors }) => sum + lengthSectors, 0);
      assert.equal(device.size, size * 512, device.name);
    }
    const [ours = [], theirs = []] = ["we-", "they-"].map((who) =>
      mine.map(({ name }) => listed.find((device) => device.name === name.replace("we-", who))),
    );
    for (const [index, device] of ours.entries()) {
      assert.deepEqual(mine[index], device);
      const same = theirs[index];
      if (device?.name !== "we-snapshot" && device?.name !== "we-zero") {
        assert.deepEqual(same?.table, device?.table);
        assert.deepEqual(same?.dependencies, device?.dependencies);
      }
    }
    assert.ok(existsSync("/dev/disk/by-id/dm-uuid-WE-linear") && existsSync("/dev/disk/by-id/dm-uuid-THEY-linear"));

    // What we remove is gone for dmsetup, and the other way round. Snapshots before their origins.
    for (const device of listed.sort((a, b) => a.name.length - b.name.length).sort(snapshotsFirst)) {
      if (device.name.startsWith("they-")) {
        await remove(device);
      } else {
        run("dmsetup", ["remove", "--retry", device.name]);
      }
      assert.ok(!existsSync(device.device));
    }
  });

  const snapshotsFirst = (a: MapperDescription, b: MapperDescription) =>
    Number(b.table[0]?.type === "snapshot") - Number(a.table[0]?.type === "snapshot");

  it("leaves nothing of a device that can't be made", async () => {
    const disk = loop("small", MiB);
    const taken = await createMapper({ name: "taken", uuid: "TAKEN", table: zeros(8) }, deps);
    const make = (table: string, name = "never", uuid = "") =>
      createMapper({ name, uuid, table: parseTable(table) }, deps);
    await refused(make("0 8 zero", "taken"), "busy", /already/);
    await refused(make("0 8 zero", "never", "TAKEN"), "busy", /TAKEN/);
    await refused(make("0 8 zero", "a/b"), "invalid");
    await refused(make("0 8 nonsense"), "invalid", /nonsense/);
    await refused(make("0 8 zero\n9 8 zero"), "invalid", /gap/);
    await refused(make(`0 2049 linear ${disk} 0`), "invalid", /2048/);
    await refused(make(`0 2048 linear ${disk} 1`), "invalid");
    await refused(make("0 8 linear /dev/nothing 0"), "notFound");
    await refused(make("0 8 linear /etc/passwd 0"), "invalid");
    await refused(make("0 8 linear 250:77 0"), "notFound");
    const key = "ab".repeat(32);
    const problem = await refused(make(`0 8 crypt no-such-cipher ${key} 0 ${disk} 0`), "invalid", /crypt/);
    assert.ok(!JSON.stringify([problem, problem.message, problem.stack]).includes(key));
    // The kernel alone can know this, and says it in its log only.
    await refused(make(`0 8 flakey ${disk} 0 1 1 1 no_such_feature`), "invalid", /feature/i);
    await refused(make(`0 8 raid raid1 nonsense ${disk}`), "invalid");
    const cancelled = new AbortController();
    cancelled.abort();
    const never = createMapper({ name: "never", table: zeros(8) }, depsOf(control, cancelled.signal));
    await assert.rejects(never, Cancelled);
    assert.deepEqual(names(), ["taken"]);
    const permit = (devices: readonly string[], readOnly: boolean) => {
      throw new Problem("notPermitted", `${devices} ${readOnly}`);
    };
    const asked = createMapper({ name: "never", table: linear(disk) }, { ...deps, permit });
    await refused(asked, "notPermitted", new RegExp(`^${numberOfNode(disk)} false$`));
    assert.deepEqual(names(), ["taken"]);
    await remove(taken);
  });

  it("asks for every device that it doesn't know to be one", async () => {
    const disk = loop("mirrored", MiB);
    const number = numberOfNode(disk) ?? assert.fail();
    const [, minor] = number.split(":");
    const asked: string[] = [];
    const permit = (devices: readonly string[]) => {
      asked.push(...devices);
      if (devices.length > 0) {
        throw new Problem("notPermitted", "not this one");
      }
    };
    const make = (device: string) => {
      const table = parseTable(`0 1024 mirror core 1 1024 2 ${device} 0 ${device} 1024`);
      return createMapper({ name: "mirrored", table }, { ...deps, permit });
    };
    for (const device of [number, disk, `${".".repeat(2)}/..${"/..".repeat(16)}${disk}`]) {
      await refused(make(device), "notPermitted");
    }
    // In hexadecimal, as kernels until 6.4 take it; others refuse it.
    const odd = await make(`7${Number(minor).toString(16).padStart(2, "0")}`).catch((error: unknown) => error);
    assert.ok(odd instanceof Problem && ["notPermitted", "invalid"].includes(odd.data.reason));
    assert.deepEqual(new Set(asked), new Set([number]));
    assert.deepEqual(names(), []);
  });

  it("undoes all when it is cancelled half-way", async () => {
    for (const delay of [0, 5, 20, 50]) {
      const cancel = new AbortController();
      const making = createMapper({ name: "cancelled", table: zeros(8) }, depsOf(control, cancel.signal));
      setTimeout(() => cancel.abort(), delay);
      const outcome = await making.catch((error: unknown) => error);
      if (outcome instanceof Cancelled) {
        assert.deepEqual(names(), []);
        assert.ok(!existsSync("/dev/mapper/cancelled"));
      } else {
        await remove(outcome as MapperDescription);
      }
    }
  });

  it("loads, clears, suspends, resumes, renames", async () => {
    const disk = loop("changing", 4 * MiB);
    const made = await createMapper({ name: "first name", table: linear(disk, 2048) }, deps);
    assert.equal(made.device, "/dev/mapper/first\\x20name");
    assert.equal(made.hasInactiveTable, false);
    const loaded = await loadMapper({ ...made, table: linear(disk, 4096) }, deps);
    assert.deepEqual([loaded.hasInactiveTable, loaded.size], [true, 2048 * 512]);
    assert.equal((await clearMapper(made, deps)).hasInactiveTable, false);
    await refused(loadMapper({ ...made, table: linear(made.device) }, deps), "invalid", /itself/);
    await loadMapper({ ...made, table: linear(disk, 4096) }, deps);

    const suspended = await suspendMapper({ ...made, flush: false, freeze: false }, deps);
    assert.ok(suspended.suspended);
    assert.ok((await suspendMapper({ ...made, ...all }, deps)).suspended);
    const resumed = await resumeMapper({ ...made, ...all }, deps);
    assert.deepEqual([resumed.suspended, resumed.size, resumed.hasInactiveTable], [false, 4096 * 512, false]);
    assert.equal(resumed.diskSequence, made.diskSequence);

    const renamed = await renameMapper({ ...made, name: "second", uuid: "SECOND" }, deps);
    assert.deepEqual([renamed.name, renamed.uuid, renamed.device], ["second", "SECOND", "/dev/mapper/second"]);
    assert.ok(!existsSync(made.device));
    assert.equal(numberOfNode("/dev/mapper/second"), renamed.devnum);
    await refused(renameMapper({ ...renamed, uuid: "THIRD" }, deps), "invalid", /SECOND/);
    await refused(suspendMapper({ ...made, ...all }, deps), "notFound");

    // A device on it: its holder, which it must not come to stand on.
    const upper = await createMapper({ name: "upper", table: linear(renamed.device, 2048) }, deps);
    assert.deepEqual(upper.dependencies, [renamed.devnum]);
    const [lower] = listMappers(control).filter(({ name }) => name === "second");
    assert.deepEqual(lower?.holders, ["/dev/mapper/upper"]);
    await refused(loadMapper({ ...renamed, table: linear(upper.device, 1024) }, deps), "invalid", /stands on/);
    const busy = await refused(remove(renamed), "busy");
    assert.deepEqual(busy.data.users, [{ kind: "holder", device: "/dev/mapper/upper" }]);
    await refused(renameMapper({ ...renamed, name: "upper" }, deps), "busy");
    await remove(upper);
    await remove(renamed);
  });

  it("takes on a device that has no table yet", async () => {
    run("dmsetup", ["create", "bare", "--notable"]);
    const [bare] = listMappers(control);
    assert.ok(bare);
    assert.deepEqual([bare.size, bare.table, bare.hasInactiveTable, bare.diskSequence], [0, [], false, null]);
    assert.ok((await suspendMapper({ ...bare, ...all }, deps)).suspended);
    await refused(resumeMapper({ ...bare, ...all }, deps), "invalid", /no table/);
    const loaded = await loadMapper({ ...bare, table: zeros(8) }, deps);
    assert.deepEqual([loaded.hasInactiveTable, loaded.table], [true, []]);
    const device = await resumeMapper({ ...bare, ...all }, deps);
    assert.deepEqual([device.suspended, device.table, device.openCount], [false, zeros(8), 0]);
    assert.equal(numberOfNode(device.device), device.devnum);
    await remove(device);
    run("dmsetup", ["create", "bare", "--notable"]);
    await remove(bare);
  });

  it("refuses a device that has become another", async () => {
    const first = await createMapper({ name: "same", table: zeros(8) }, deps);
    await remove(first);
    const second = await createMapper({ name: "same", table: zeros(16) }, deps);
    assert.equal(second.devnum, first.devnum);
    assert.notEqual(second.diskSequence, first.diskSequence);
    await refused(remove(first), "stale");
    await refused(suspendMapper({ ...first, ...all }, deps), "stale");
    await refused(loadMapper({ ...first, table: zeros(8) }, deps), "stale");
    await refused(renameMapper({ ...first, name: "other" }, deps), "stale");
    await refused(clearMapper(first, deps), "stale");
    await refused(messageMapper({ ...first, message: "@stats_list" }, deps), "stale");
    await remove({ ...second, device: second.node });
    await refused(remove(second), "notFound");
  });

  it("removes only what nobody uses, or later, or after unmounting", async () => {
    const disk = loop("used", 32 * MiB);
    const table = linear(disk, 65536);
    const device = await createMapper({ name: "used", table }, deps);
    run("mkfs.ext4", ["-q", device.device]);
    const target = workshop.path("used-target");
    mkdirSync(target);
    run("mount", [device.device, target]);
    // It looks at what mkfs has written, and would be named as well.
    run("udevadm", ["settle"]);
    const problem = await refused(remove(device), "busy");
    assert.deepEqual(problem.data.users, [{ kind: "mount", target }]);
    const removed = await removeMapper({ ...device, whenBusy: "unmount" }, deps);
    assert.deepEqual(removed, { state: "removed", users: [] });
    assert.doesNotMatch(readFileSync("/proc/mounts", "utf8"), /used-target/);

    const again = await createMapper({ name: "used", table }, deps);
    const open = openSync(again.device, "r");
    const later = await removeMapper({ ...again, whenBusy: "deferred" }, deps);
    assert.equal(later.state, "pending");
    assert.match(run("dmsetup", ["info", "used"]), /DEFERRED/);
    closeSync(open);
    for (let tries = 0; names().length > 0; tries++) {
      assert.ok(tries < 100);
      await sleep(50);
    }
    const third = await createMapper({ name: "used", table }, deps);
    assert.equal((await removeMapper({ ...third, whenBusy: "deferred" }, deps)).state, "removed");

    // A process that lets go in time is waited for.
    const fourth = await createMapper({ name: "used", table }, deps);
    const holder = spawn("sleep", ["1"], { stdio: [openSync(fourth.device, "r"), "ignore", "ignore"] });
    await new Promise((resolve) => holder.on("spawn", resolve));
    for (const fd of readdirSync("/proc/self/fd").map(Number)) {
      if (numberOfNodeOfFd(fd) === fourth.devnum) {
        closeSync(fd);
      }
    }
    await remove(fourth);
  });

  function numberOfNodeOfFd(fd: number): string | undefined {
    try {
      return numberOfNode(`/proc/self/fd/${fd}`);
    } catch {
      return undefined;
    }
  }

  it("is read-only where that is asked for, and where it must be", async () => {
    const disk = loop("read-only", MiB, "--read-only");
    await refused(createMapper({ name: "writable", table: linear(disk) }, deps), "notPermitted", /read-only/);
    const device = await createMapper({ name: "read-only", readOnly: true, table: linear(disk) }, deps);
    assert.ok(device.readOnly);
    assert.equal(run("blockdev", ["--getro", device.device]).trim(), "1");
    const writable = await createMapper({ name: "zeros", table: zeros(8) }, deps);
    assert.ok(!writable.readOnly);
    await loadMapper({ ...writable, table: zeros(8), readOnly: true }, deps);
    assert.ok((await resumeMapper({ ...writable, ...all }, deps)).readOnly);
    await remove(writable);
    await remove(device);
  });

  it("passes on messages and replies", async () => {
    const disk = loop("messages", MiB);
    const table = [
      { startSectors: 0, lengthSectors: 8, type: "crypt", params: `aes-xts-plain64 ${"0f".repeat(32)} 0 ${disk} 0` },
    ];
    const device = await createMapper({ name: "messages", table }, deps);
    assert.deepEqual(await messageMapper({ ...device, message: "@stats_create - /1" }, deps), { reply: "0" });
    assert.match((await messageMapper({ ...device, message: "@stats_list" }, deps)).reply, /^0: 0\+8 /);
    const secret = "5ec4e7".repeat(8);
    const problem = await refused(messageMapper({ ...device, message: `key set ${secret}` }, deps), "invalid");
    assert.ok(!problem.message.includes(secret));
    await suspendMapper({ ...device, ...all }, deps);
    await messageMapper({ ...device, message: "key wipe" }, deps);
    await messageMapper({ ...device, message: `key set ${"0f".repeat(32)}` }, deps);
    await resumeMapper({ ...device, ...all }, deps);
    await refused(messageMapper({ ...device, message: " " }, deps), "invalid");
    await remove(device);
  });

  it("waits for events without holding a thread, until it is cancelled or the device goes", async () => {
    const device = await createMapper({ name: "waited-for", table: zeros(8) }, deps);
    const cancel = new AbortController();
    const { eventNumber } = device;
    // More than the pool has threads.
    const cancelled = Array.from({ length: 8 }, () =>
      assert.rejects(waitForMapper({ ...device, eventNumber }, depsOf(control, cancel.signal)), Cancelled),
    );
    const event = waitForMapper({ ...device, eventNumber }, deps);
    await sleep(100);
    cancel.abort();
    await Promise.all(cancelled);
    // A rename is an event of the table, for whoever waits.
    run("dmsetup", ["rename", "waited-for", "renamed"]);
    const { eventNumber: next, status } = await event;
    assert.equal(next, eventNumber + 1);
    assert.deepEqual(status, zeros(8));
    const now = { ...device, device: "/dev/mapper/renamed" };
    assert.equal((await waitForMapper({ ...now, eventNumber }, deps)).eventNumber, next);
    const gone = refused(waitForMapper({ ...now, eventNumber: next }, deps), "notFound");
    await sleep(50);
    await remove(now);
    await gone;
  });

  it("carries a file system over a loop device through suspend, growth and removal", { timeout: 120_000 }, async () => {
    const size = 64 * MiB;
    const disk = loop("ext4", size);
    const device = await createMapper({ name: "ext4", table: linear(disk, size / 512 / 2) }, deps);
    run("mkfs.ext4", ["-q", "-b", "4096", device.device]);
    const target = workshop.path("ext4-target");
    mkdirSync(target);
    run("mount", [device.device, target]);
    const content = randomBytes(8 * MiB);
    const digest = createHash("sha256").update(content).digest("hex");
    const check = (path: string) => assert.equal(createHash("sha256").update(readFileSync(path)).digest("hex"), digest);
    writeFileSync(`${target}/content`, content);

    await suspendMapper({ ...device, ...all }, deps);
    await loadMapper({ ...device, table: linear(disk, size / 512) }, deps);
    const grown = await resumeMapper({ ...device, ...all }, deps);
    assert.equal(grown.size, size);
    run("resize2fs", [device.device]);
    writeFileSync(`${target}/more`, content.subarray(0, MiB));
    check(`${target}/content`);
    assert.match(run("df", ["--output=size", "-B1M", target]), /\b5\d\b/);
    await removeMapper({ ...device, whenBusy: "unmount" }, deps);

    run("e2fsck", ["-f", "-n", disk]);
    run("mount", ["-o", "ro", disk, target]);
    check(`${target}/content`);
    run("umount", [target]);
  });

  it(`makes, lists and removes ${FLEET} devices`, { timeout: 900_000 }, async () => {
    const pick = (from: number, count: number) => Array.from({ length: count }, (_, index) => `fleet-${from + index}`);
    const made: MapperDescription[] = [];
    for (let from = 0; from < FLEET; from += 20) {
      const batch = pick(from, 20).map((name) => createMapper({ name, table: zeros(8) }, deps));
      made.push(...(await Promise.all(batch)));
    }
    const start = performance.now();
    const listed = listMappers(control);
    process.stderr.write(`${FLEET} devices listed in ${Math.round(performance.now() - start)} ms\n`);
    const byNumber = (a: MapperDescription, b: MapperDescription) =>
      Number(a.devnum.split(":")[1]) - Number(b.devnum.split(":")[1]);
    assert.deepEqual(listed.sort(byNumber), made.sort(byNumber));
    assert.equal(run("dmsetup", ["ls"]).trim().split("\n").length, FLEET);
    assert.ok(made.every(({ device, devnum }) => numberOfNode(device) === devnum));
    for (let from = 0; from < FLEET; from += 20) {
      await Promise.all(made.slice(from, from + 20).map(remove));
    }
    assert.deepEqual(readdirSync("/dev/mapper"), ["control"]);
  });

  it(`races with another helper and dmsetup for ${RACE_SECONDS} s`, {
    timeout: (RACE_SECONDS + 90) * 1000,
  }, async () => {
    const seconds = RACE_SECONDS;
    const racers = ["A", "B"].map((owner, index) =>
      ended(startChild({ deed: "race", name: "race", owner, sectors: 2048 * (index + 1), seconds })),
    );
    const shell = `
      end=$(($(date +%s) + ${seconds})); made=0; lost=0
      while [ $(date +%s) -lt $end ]; do
        name=race-$((made % 3))
        if dmsetup create $name --uuid D-$made --table '0 1024 zero' 2>/dev/null; then
          made=$((made + 1))
          [ "$(dmsetup info -c --noheadings -o uuid $name)" = D-$((made - 1)) ] || { echo "not ours: $name"; exit 1; }
          dmsetup remove --retry $name || exit 1
        else lost=$((lost + 1)); fi
      done
      echo dmsetup: made $made, lost $lost`;
    const dmsetup = ended(spawn("sh", ["-c", shell], { stdio: ["ignore", "pipe", "inherit"] }));
    process.stderr.write((await Promise.all([...racers, dmsetup])).join(""));
    assert.deepEqual(names(), []);
    assert.deepEqual(readdirSync("/dev/mapper"), ["control"]);
  });

  it(`leaves the whole device or none when it is killed, ${KILLS} times`, { timeout: 180_000 }, async () => {
    const name = "killed" as DmName;
    const seen = { whole: 0, none: 0, leftovers: 0 };
    for (let kill = 0; kill < KILLS; kill++) {
      const victim = startChild({ deed: "make and remove", name });
      const closed = new Promise((resolve) => victim.on("close", resolve));
      const lines = createInterface({ input: victim.stdout ?? assert.fail() });
      // By turns in the making and in the removing, each of which takes about so long.
      const moment = kill % 2 === 0 ? "making" : "removing";
      await new Promise<void>((resolve) => {
        lines.on("line", (line) => line === moment && resolve());
      });
      await sleep(Math.random() * 120);
      victim.kill("SIGKILL");
      await closed;
      const state = await stateOf(name);
      seen[state]++;
      seen.leftovers += control.listDevices().filter(({ name }) => isProvisional(name)).length;
      await removeLeftovers({ ...deps, log: undefined });
      assert.ok(!control.listDevices().some(({ name }) => isProvisional(name)));
      if (state === "whole") {
        const [device] = listMappers(control);
        assert.ok(device);
        assert.deepEqual([device.table, device.uuid], [zeros(2048), `KILL-${name}`]);
        await remove(device);
      }
    }
    process.stderr.write(`killed: ${JSON.stringify(seen)}\n`);
    // The semaphores of those that were killed, which nothing else removes.
    run("dmsetup", ["udevcomplete_all", "--yes"]);
  });

  /** What the kernel has of a device once it is done with what a kill has set off. */
  async function stateOf(name: DmName): Promise<"whole" | "none"> {
    for (let tries = 0; tries < 400; tries++) {
      try {
        const { flags } = control.status({ name });
        if ((flags & dmFlags.DM_DEFERRED_REMOVE) === 0) {
          assert.notEqual(flags & dmFlags.DM_ACTIVE_PRESENT_FLAG, 0, "no table");
          assert.equal(flags & dmFlags.DM_SUSPEND_FLAG, 0, "suspended");
          return "whole";
        }
      } catch (error) {
        if (isErrno(error, "ENXIO")) {
          return "none";
        }
        throw error;
      }
      await sleep(25);
    }
    return assert.fail(`${name} is neither whole nor gone`);
  }

  it("works in a container whose /dev is its own", { timeout: 60_000 }, async () => {
    const setUp = 'mount -t tmpfs none /dev && mknod /dev/null c 1 3 && exec "$@"';
    await ended(startChild({ deed: "container", name: "inside" }, ["unshare", "--mount", "sh", "-ec", setUp, "sh"]));
  });

  it("waits for udev so long and no longer, and makes the node then", async () => {
    const logged: string[] = [];
    const impatient = { ...deps, udevTimeout: 300, log: (_: string, message: string) => logged.push(message) };
    run("udevadm", ["control", "--stop-exec-queue"]);
    try {
      const device = await createMapper({ name: "slow", table: zeros(8) }, impatient);
      assert.equal(numberOfNode(device.device), device.devnum);
      assert.match(logged.join(), /udev was not done with slow after 300 ms/);
      run("udevadm", ["control", "--start-exec-queue"]);
      run("udevadm", ["settle"]);
      // What we have made is not in udev's way.
      assert.equal(numberOfNode(device.device), device.devnum);
      assert.ok(existsSync("/dev/disk/by-id/dm-name-slow"));
      run("udevadm", ["control", "--stop-exec-queue"]);
      await removeMapper({ ...device, whenBusy: "refuse" }, impatient);
      assert.ok(!existsSync(device.device));
    } finally {
      run("udevadm", ["control", "--start-exec-queue"]);
    }
    run("udevadm", ["settle"]);
    assert.deepEqual(readdirSync("/dev/mapper"), ["control"]);
  });

  it("makes the nodes itself where udev doesn't run", { timeout: 60_000 }, async () => {
    run("udevadm", ["settle"]);
    assert.ok(udevMakesNodes());
    run("udevadm", ["control", "--exit"]);
    while (udevMakesNodes()) {
      await sleep(20);
    }
    try {
      const made = await createMapper({ name: "by hand", table: zeros(8) }, deps);
      assert.equal(made.device, "/dev/mapper/by\\x20hand");
      assert.equal(numberOfNode(made.device), made.devnum);
      const renamed = await renameMapper({ ...made, name: "otherwise" }, deps);
      assert.equal(numberOfNode("/dev/mapper/otherwise"), made.devnum);
      assert.ok(!existsSync(made.device));
      // What somebody has broken is mended with the next change.
      unlinkSync("/dev/mapper/otherwise");
      await suspendMapper({ ...renamed, ...all }, deps);
      await resumeMapper({ ...renamed, ...all }, deps);
      assert.equal(numberOfNode("/dev/mapper/otherwise"), made.devnum);
      await remove(renamed);
      assert.deepEqual(readdirSync("/dev/mapper"), ["control"]);

      // A node that can't be made is a failure, of which nothing is left, the file in the way excepted.
      writeFileSync("/dev/mapper/in-the-way", "mine");
      await refused(createMapper({ name: "in-the-way", table: zeros(8) }, deps), "kernel", /in the way/);
      assert.equal(readFileSync("/dev/mapper/in-the-way", "utf8"), "mine");
      unlinkSync("/dev/mapper/in-the-way");
    } finally {
      run("/lib/systemd/systemd-udevd", ["--daemon"]);
    }
  });
}

const task = process.env.DISKLOOM_MAPPER_CHILD;
if (task) {
  child(JSON.parse(task)).then(
    () => process.exit(0),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
} else {
  describe("the device mapper", tests);
}
