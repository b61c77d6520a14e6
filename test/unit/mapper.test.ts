import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import type { Devnum } from "../../helper/linux/devnum";
import { devnum } from "../../helper/linux/devnum";
import {
  bytesIn,
  DM_IOCTL_SIZE,
  DM_TARGET_SPEC_SIZE,
  type DmName,
  type DmTarget,
  decodeDependencies,
  decodeDmStatus,
  decodeNames,
  decodeTargets,
  decodeVersions,
  dmCommands,
  dmFlags,
  dmIoctlOffsets,
  dmNameListOffsets,
  dmRequest,
  dmTargetDepsOffsets,
  dmTargetMsgOffsets,
  dmTargetSpecOffsets,
  dmTargetVersionsOffsets,
  encodeDmIoctl,
  encodeMessage,
  encodeTargets,
  sectors,
  sectorsIn,
} from "../../helper/linux/dm";
import { DmControl } from "../../helper/linux/dmcontrol";
import { KernelError } from "../../helper/linux/errno";
import { O_RDONLY, openFile } from "../../helper/linux/file";
import { type Ioctl, interposeIoctl } from "../../helper/linux/libc";
import { Semaphore } from "../../helper/linux/semaphore";
import { checkOrder } from "../../helper/mapper/check";
import { mapperPresent, openControl } from "../../helper/mapper/control";
import { loadTable } from "../../helper/mapper/load";
import { escapeName, escapeUuid, readable } from "../../helper/mapper/names";
import { isProvisional, provisionalName, removeLeftovers } from "../../helper/mapper/provisional";
import { hideKeys } from "../../helper/mapper/secrets";
import { toKernel } from "../../helper/mapper/table";
import { devicesOf, extentsOf, formatTarget, parseTarget, withDevices } from "../../helper/mapper/targets/all";
import { Problem } from "../../helper/problem";

const folder = mkdtempSync(join(tmpdir(), "diskloom-mapper-"));
after(() => rmSync(folder, { recursive: true, force: true }));

function target(type: string, params: string, length = 2048, start = 0): DmTarget {
  return { start: sectors(start), length: sectors(length), type, params };
}

function isInvalid(error: unknown): boolean {
  return error instanceof Problem && error.data.reason === "invalid";
}

/** Compiles a C program over the header and gives back what it prints, a line for each. */
function compiled(body: string, input?: Buffer): string[] {
  const source = join(folder, "program.c");
  const program = join(folder, "program");
  const headers = ["stddef.h", "stdio.h", "string.h", "unistd.h", "sys/ioctl.h", "linux/dm-ioctl.h"];
  const includes = headers.map((header) => `#include <${header}>\n`).join("");
  writeFileSync(source, `${includes}int main(void) {\n${body}\nreturn 0;\n}\n`);
  execFileSync("gcc", ["-Wall", "-o", program, source]);
  return execFileSync(program, { input }).toString().trimEnd().split("\n");
}

describe("the device mapper's structs", () => {
  it("have the header's sizes, offsets and numbers", () => {
    const structs = {
      "struct dm_ioctl": dmIoctlOffsets,
      "struct dm_target_spec": dmTargetSpecOffsets,
      "struct dm_name_list": dmNameListOffsets,
      "struct dm_target_deps": dmTargetDepsOffsets,
      "struct dm_target_versions": dmTargetVersionsOffsets,
      "struct dm_target_msg": dmTargetMsgOffsets,
    };
    const expected: string[] = [`${DM_IOCTL_SIZE} ${DM_TARGET_SPEC_SIZE}`];
    let body = 'printf("%zu %zu\\n", sizeof(struct dm_ioctl), sizeof(struct dm_target_spec));\n';
    for (const [struct, offsets] of Object.entries(structs)) {
      for (const [field, offset] of Object.entries(offsets)) {
        body += `printf("${struct} ${field} %zu\\n", offsetof(${struct}, ${field}));\n`;
        expected.push(`${struct} ${field} ${offset}`);
      }
    }
    for (const [name, flag] of Object.entries(dmFlags)) {
      body += `printf("${name} %u\\n", (unsigned) ${name});\n`;
      expected.push(`${name} ${flag}`);
    }
    for (const command of Object.keys(dmCommands) as (keyof typeof dmCommands)[]) {
      body += `printf("${command} %lu\\n", (unsigned long) ${command});\n`;
      expected.push(`${command} ${dmRequest(command)}`);
    }
    assert.deepEqual(compiled(body), expected);
  });

  it("are read by C as they were written", () => {
    const header = encodeDmIoctl(
      { key: { name: "data" as DmName }, uuid: "U-1", flags: 3, eventNumber: 7, targetCount: 3 },
      encodeTargets([target("linear", "7:0 0"), target("zero", ""), target("crypt", "a b 0 7:0 12345")]),
      0,
    );
    const lines = compiled(
      `char b[4096]; int n = read(0, b, sizeof b); struct dm_ioctl *d = (void *) b;
       printf("%d %u %u %u %u %u %s %s\\n", n == d->data_size, d->version[0], d->data_start, d->target_count, d->flags,
              d->event_nr, d->name, d->uuid);
       char *p = b + d->data_start;
       for (unsigned i = 0; i < d->target_count; i++) {
         struct dm_target_spec *s = (void *) p;
         printf("%d %llu %llu %s [%s] %u %d\\n", (p - b) % 8 == 0, (unsigned long long) s->sector_start,
                (unsigned long long) s->length, s->target_type, (char *) (s + 1), s->next % 8,
                s->next >= sizeof *s + strlen((char *) (s + 1)) + 1);
         p += s->next;
       }
       printf("%d\\n", p - b == n);`,
      header,
    );
    assert.deepEqual(lines, [
      "1 4 312 3 3 7 data U-1",
      "1 0 2048 linear [7:0 0] 0 1",
      "1 0 2048 zero [] 0 1",
      "1 0 2048 crypt [a b 0 7:0 12345] 0 1",
      "1",
    ]);
  });

  it("are written by C as they are read", () => {
    // As the kernel lays them out: `next` of a status from the first spec, of all others from their own entry.
    const bytes = (body: string) => {
      const [hex = ""] = compiled(
        `static char b[4096] __attribute__((aligned(8))); size_t n = 0;\n${body}
         for (size_t i = 0; i < n; i++) printf("%02x", (unsigned char) b[i]);`,
      );
      return Buffer.from(hex, "hex");
    };
    const specs = bytes(
      `const char *params[] = {"7:0 0", "", "253:1 8 with some more"};
       for (int i = 0; i < 3; i++) {
         struct dm_target_spec *s = (void *) (b + n);
         s->sector_start = i * 8; s->length = 8; strcpy(s->target_type, "linear"); strcpy((char *) (s + 1), params[i]);
         n = (n + sizeof *s + strlen(params[i]) + 1 + 7) & ~7ul; s->next = n;
       }`,
    );
    assert.deepEqual(decodeTargets(specs, 3), [
      target("linear", "7:0 0", 8, 0),
      target("linear", "", 8, 8),
      target("linear", "253:1 8 with some more", 8, 16),
    ]);

    const names = bytes(
      `const char *names[] = {"a", "twelve-bytes", "\\\\x20"};
       for (int i = 0; i < 3; i++) {
         struct dm_name_list *l = (void *) (b + n);
         l->dev = (253 << 8) | i; strcpy(l->name, names[i]);
         size_t size = ((offsetof(struct dm_name_list, name) + strlen(names[i]) + 1 + 7) & ~7ul) + 8;
         l->next = i < 2 ? size : 0; n += size;
       }`,
    );
    assert.deepEqual(decodeNames(names), [
      { name: "a", devnum: "253:0" },
      { name: "twelve-bytes", devnum: "253:1" },
      { name: "\\x20", devnum: "253:2" },
    ]);
    assert.deepEqual(decodeNames(Buffer.alloc(8)), []);

    const dependencies = bytes(
      `struct dm_target_deps *d = (void *) b; d->count = 2; d->dev[0] = (7 << 8) | 3; d->dev[1] = (8ull << 8) | 0x100005;
       n = sizeof *d + 16;`,
    );
    assert.deepEqual(decodeDependencies(dependencies), ["7:3", "8:261"]);

    const versions = bytes(
      `const char *names[] = {"linear", "snapshot-origin"};
       for (int i = 0; i < 2; i++) {
         struct dm_target_versions *v = (void *) (b + n);
         v->version[0] = 1; v->version[1] = i; v->version[2] = 9; strcpy(v->name, names[i]);
         size_t size = (sizeof *v + strlen(names[i]) + 1 + 7) & ~7ul; v->next = i < 1 ? size : 0; n += size;
       }`,
    );
    assert.deepEqual(decodeVersions(versions), [
      { name: "linear", version: "1.0.9" },
      { name: "snapshot-origin", version: "1.1.9" },
    ]);

    const message = encodeMessage(sectors(77), "key wipe");
    assert.deepEqual(
      compiled(
        `char b[64]; read(0, b, sizeof b); struct dm_target_msg *m = (void *) b;
         printf("%llu %s\\n", (unsigned long long) m->sector, m->message);`,
        message,
      ),
      ["77 key wipe"],
    );
  });

  it("never cut a name short", () => {
    assert.throws(() => encodeDmIoctl({ key: { name: "n".repeat(128) as DmName } }, Buffer.alloc(0), 0), RangeError);
    assert.throws(() => encodeTargets([target("sixteen-letters!", "")]), RangeError);
  });

  it("count in sectors", () => {
    assert.equal(bytesIn(sectors(3)), 1536);
    assert.equal(sectorsIn(1535), 2);
    for (const wrong of [-1, 0.5, Number.NaN, 2 ** 53]) {
      assert.throws(() => sectors(wrong), RangeError);
    }
  });
});

/** A kernel that isn't there: answers the ioctls of a DmControl by hand. */
function fakeControl(answer: (command: number, bytes: Buffer, ioctl: Ioctl) => void) {
  const sent: { command: number; bytes: Buffer; live: Uint8Array }[] = [];
  const act = (ioctl: Ioctl): number => {
    const live = ioctl.argument as Buffer;
    const command = ioctl.request & 0xff;
    sent.push({ command, bytes: Buffer.from(live), live });
    live.writeUInt32LE(47, 4);
    answer(command, live, ioctl);
    return 0;
  };
  const layer = interposeIoctl(() => ({ sync: act, async: async (ioctl) => act(ioctl) }));
  const control = new DmControl(openFile("/dev/null", O_RDONLY));
  return {
    control,
    sent,
    [Symbol.dispose]() {
      control[Symbol.dispose]();
      layer[Symbol.dispose]();
    },
  };
}

describe("the control file", () => {
  it("gets a buffer twice as large until the answer fits", () => {
    using fake = fakeControl((command, bytes) => {
      if (command !== dmCommands.DM_LIST_DEVICES) {
        return;
      }
      if (bytes.length < 100_000) {
        bytes.writeUInt32LE(dmFlags.DM_BUFFER_FULL_FLAG, dmIoctlOffsets.flags);
        return;
      }
      bytes.writeBigUInt64LE(BigInt((253 << 8) | 9), DM_IOCTL_SIZE);
      bytes.write("nine\0", DM_IOCTL_SIZE + dmNameListOffsets.name);
      bytes.writeUInt32LE(DM_IOCTL_SIZE + 24, dmIoctlOffsets.data_size);
    });
    assert.deepEqual(fake.control.listDevices(), [{ name: "nine", devnum: "253:9" }]);
    const sizes = fake.sent.slice(1).map(({ bytes }) => bytes.readUInt32LE(dmIoctlOffsets.data_size) - DM_IOCTL_SIZE);
    assert.deepEqual(
      sizes,
      [16, 32, 64, 128].map((kib) => kib * 1024),
    );
  });

  it("gives up on an answer that never fits", () => {
    using fake = fakeControl((command, bytes) => {
      if (command === dmCommands.DM_TABLE_DEPS) {
        bytes.writeUInt32LE(dmFlags.DM_BUFFER_FULL_FLAG, dmIoctlOffsets.flags);
      }
    });
    assert.throws(
      () => fake.control.dependencies({ devnum: "253:0" as Devnum }),
      (error) => error instanceof KernelError && error.errno === "ENOBUFS",
    );
  });

  it("refuses another major version", () => {
    assert.throws(
      () => fakeControl((_, bytes) => bytes.writeUInt32LE(5, 0)),
      (error) => error instanceof KernelError && error.errno === "EPROTO",
    );
  });

  it("asks by name or by number, never by both", () => {
    using fake = fakeControl(() => {});
    fake.control.status({ devnum: "253:261" as Devnum });
    fake.control.status({ name: "data" as DmName });
    const [, byNumber, byName] = fake.sent;
    assert.ok(byNumber && byName);
    assert.equal(devnum(byNumber.bytes.readBigUInt64LE(dmIoctlOffsets.dev)), "253:261");
    assert.equal(decodeDmStatus(byNumber.bytes).name, "");
    assert.equal(byName.bytes.readBigUInt64LE(dmIoctlOffsets.dev), 0n);
    assert.equal(decodeDmStatus(byName.bytes).name, "data");
  });

  it("wipes what may hold a key, on every way out", async () => {
    const key = "00112233445566778899aabbccddeeff";
    let refuse = false;
    using fake = fakeControl((command) => {
      if (refuse && command === dmCommands.DM_TABLE_LOAD) {
        throw new KernelError("EINVAL", "DM_TABLE_LOAD", "device 253:0");
      }
    });
    const at = { devnum: "253:0" as Devnum };
    const table = [target("crypt", `aes-xts-plain64 ${key} 0 7:0 0`)];
    await fake.control.load(at, table, false);
    await fake.control.message(at, sectors(0), `key set ${key}`);
    refuse = true;
    const error = await fake.control.load(at, table, false).then(
      () => assert.fail("not refused"),
      (reason: unknown) => reason,
    );
    assert.doesNotMatch(String(error), new RegExp(key));
    assert.equal(fake.sent.length, 4);
    for (const { bytes, live } of fake.sent.slice(1)) {
      assert.ok(bytes.includes(key));
      assert.notEqual(bytes.readUInt32LE(dmIoctlOffsets.flags) & dmFlags.DM_SECURE_DATA_FLAG, 0);
      assert.ok(live.every((byte) => byte === 0));
    }
  });

  it("polls only where the kernel can", () => {
    using fake = fakeControl((_, bytes) => bytes.writeUInt32LE(36, 4));
    assert.throws(
      () => fake.control.armPoll(),
      (error) => error instanceof KernelError && error.errno === "ENOTTY",
    );
  });

  it("says why a table can't be loaded in words", async () => {
    using fake = fakeControl((command) => {
      if (command === dmCommands.DM_TABLE_LOAD) {
        throw new KernelError("EACCES", "DM_TABLE_LOAD", "device 253:0");
      }
    });
    const deps = { control: fake.control, signal: new AbortController().signal };
    const table = { targets: [target("zero", "")], devices: [], readOnly: false };
    await assert.rejects(loadTable(deps, "253:0" as Devnum, table), (error) => {
      assert.ok(error instanceof Problem);
      assert.equal(error.data.reason, "notPermitted");
      return true;
    });
  });
});

describe("names", () => {
  const escaped: Record<string, string> = {
    data: "data",
    "vg-lv_0": "vg-lv_0",
    "a#b+c-d.e:f=g@h_i": "a#b+c-d.e:f=g@h_i",
    "my disk": "my\\x20disk",
    Größe: "Gr\\xc3\\xb6\\xc3\\x9fe",
    "back\\slash": "back\\x5cslash",
    "line\nbreak": "line\\x0abreak",
    '"$(x)`': "\\x22\\x24\\x28x\\x29\\x60",
    "💾": "\\xf0\\x9f\\x92\\xbe",
  };
  for (const [name, kernelName] of Object.entries(escaped)) {
    it(`${JSON.stringify(name)} is ${kernelName}`, () => {
      assert.equal(escapeName(name), kernelName);
      assert.equal(readable(kernelName), name);
      assert.equal(escapeUuid(name), kernelName);
    });
  }

  it("are left as they are where they are escaped", () => {
    assert.equal(escapeName("my\\x20disk"), "my\\x20disk");
  });

  it("that there can't be are refused", () => {
    for (const name of [
      "",
      ".",
      "..",
      "control",
      "a/b",
      "a\0b",
      "half \\x20",
      "bad\\xzz",
      "n".repeat(128),
      " ".repeat(32),
    ]) {
      assert.throws(() => escapeName(name), isInvalid, JSON.stringify(name));
    }
    assert.equal(escapeName("n".repeat(127)).length, 127);
    assert.equal(escapeUuid("u".repeat(128)).length, 128);
    assert.throws(() => escapeUuid("u".repeat(129)), isInvalid);
    assert.equal(escapeUuid(""), "");
  });

  it("of bytes that are no text stay escaped", () => {
    assert.equal(readable("a\\xff"), "a\\xff");
    assert.equal(readable("a\\x2"), "a\\x2");
  });
});

describe("tables", () => {
  it("must not have gaps, overlaps or lines without length", () => {
    checkOrder([target("zero", "", 8), target("error", "", 8, 8)]);
    const wrong: DmTarget[][] = [
      [],
      [target("zero", "", 0)],
      [target("zero", "", 8, 8)],
      [target("zero", "", 8), target("zero", "", 8, 9)],
      [target("zero", "", 8), target("zero", "", 8, 7)],
      [target("zero", "", 2 ** 53 - 1), target("zero", "", 8, 2 ** 53 - 1)],
    ];
    for (const table of wrong) {
      assert.throws(() => checkOrder(table), isInvalid);
    }
  });

  it("must fit into the kernel's structs", () => {
    const line = { startSectors: 0, lengthSectors: 8, type: "zero", params: "" };
    for (const type of ["", "sixteen-letters!", "two words", "ü"]) {
      assert.throws(() => toKernel({ ...line, type }), isInvalid);
    }
    for (const params of ["a\0b", "a\nb"]) {
      assert.throws(() => toKernel({ ...line, params }), isInvalid);
    }
  });
});

describe("targets", () => {
  const digest = "ab".repeat(32);
  const right: Record<string, { devices: string[]; extents: string[] }> = {
    "linear /dev/a 8": { devices: ["/dev/a"], extents: ["/dev/a 8 2048"] },
    "striped 2 16 7:0 0 7:1 8": { devices: ["7:0", "7:1"], extents: ["7:0 0 1024", "7:1 8 1024"] },
    zero: { devices: [], extents: [] },
    error: { devices: [], extents: [] },
    "error 7:0 8": { devices: ["7:0"], extents: ["7:0 8 2048"] },
    "delay 7:0 0 50": { devices: ["7:0"], extents: ["7:0 0 2048"] },
    "delay 7:0 0 50 7:1 8 20 7:2 0 1": {
      devices: ["7:0", "7:1", "7:2"],
      extents: ["7:0 0 2048", "7:1 8 2048", "7:2 0 2048"],
    },
    "flakey 7:0 0 10 5": { devices: ["7:0"], extents: ["7:0 0 2048"] },
    "flakey 7:0 0 10 5 1 drop_writes": { devices: ["7:0"], extents: ["7:0 0 2048"] },
    "snapshot-origin 7:0": { devices: ["7:0"], extents: ["7:0 0 2048"] },
    "snapshot 7:0 7:1 P 16": { devices: ["7:0", "7:1"], extents: ["7:0 0 2048", "7:1 0 0"] },
    "snapshot 7:0 7:1 N 16 1 discard_zeroes_cow": { devices: ["7:0", "7:1"], extents: ["7:0 0 2048", "7:1 0 0"] },
    [`verity 1 7:0 7:1 4096 4096 256 1 sha256 ${digest} -`]: {
      devices: ["7:0", "7:1"],
      extents: ["7:0 0 2048", "7:1 8 8"],
    },
    [`verity 1 7:0 7:0 4096 4096 256 257 sha256 ${digest} 00ff 1 ignore_zero_blocks`]: {
      devices: ["7:0", "7:0"],
      extents: ["7:0 0 2048", "7:0 2056 8"],
    },
    [`crypt aes-xts-plain64 ${digest} 0 7:0 32`]: { devices: ["7:0"], extents: ["7:0 32 2048"] },
    "crypt aes-xts-plain64 :64:logon:name 0 7:0 0 2 allow_discards sector_size:4096": {
      devices: ["7:0"],
      extents: ["7:0 0 2048"],
    },
    "thin-pool /nowhere words 1:two": { devices: [], extents: [] },
  };
  for (const [line, { devices, extents }] of Object.entries(right)) {
    it(line.slice(0, 60), () => {
      const [type = "", ...params] = line.split(" ");
      const parsed = parseTarget(target(type, params.join(" ")));
      assert.deepEqual(formatTarget(parsed), target(type, params.join(" ")));
      assert.deepEqual(devicesOf(parsed), devices);
      assert.deepEqual(
        extentsOf(parsed).map(({ device, start, length }) => `${device} ${start} ${length}`),
        extents,
      );
      const replaced = withDevices(parsed, () => "9:9");
      assert.deepEqual(
        devicesOf(replaced),
        devices.map(() => "9:9"),
      );
    });
  }

  const wrong = [
    "linear",
    "linear 7:0",
    "linear 7:0 -1",
    "linear 7:0 1e3",
    "linear 7:0 0 more",
    "striped 0 8",
    "striped 99999999999 8 7:0 0",
    "striped 3 16 7:0 0 7:1 0 7:2 0",
    "striped 2 3 7:0 0 7:1 0",
    "zero 1",
    "delay 7:0 0",
    "delay 7:0 0 1 7:0",
    "flakey 7:0 0 0 0",
    "flakey 7:0 0 1 1 2 drop_writes",
    "snapshot-origin",
    "snapshot 7:0 7:1 X 16",
    "snapshot 7:0 7:1 P 15",
    "snapshot 7:0 7:0 P 16",
    `verity 1 7:0 7:1 4095 4096 256 1 sha256 ${digest} -`,
    "verity 1 7:0 7:1 4096 4096 256 1 sha256 XYZ -",
    `verity 1 7:0 7:1 4096 4096 255 1 sha256 ${digest} -`,
    "crypt aes-xts-plain64 SECRET 0 7:0 0",
    "crypt aes-xts-plain64 0000000000000000 0 7:0 0",
    "crypt aes-xts-plain64 0011SECRET 0 7:0 0",
    "crypt aes-xts-plain64 0 SECRET 7:0 0",
    `crypt aes ${digest} 0 7:0 0 1 sector_size:3`,
  ];
  for (const line of wrong) {
    it(`not ${line.slice(0, 60)}`, () => {
      const [type = "", ...params] = line.split(" ");
      assert.throws(
        () => parseTarget(target(type, params.join(" "))),
        (error) => isInvalid(error) && !String(error).includes("SECRET"),
      );
    });
  }

  it("are shown with zeros in the place of a key", () => {
    const hide = (type: string, params: string) => hideKeys(target(type, params)).params;
    assert.equal(hide("crypt", "aes-xts-plain64 c0ffee 0 7:0 0"), "aes-xts-plain64 000000 0 7:0 0");
    assert.equal(hide("crypt", "aes :32:logon:a 0 7:0 0"), "aes :32:logon:a 0 7:0 0");
    assert.equal(
      hide("integrity", "7:0 0 32 J 2 internal_hash:hmac(sha256):c0ffee journal_mac:crc32c"),
      "7:0 0 32 J 2 internal_hash:hmac(sha256):000000 journal_mac:crc32c",
    );
    assert.equal(hide("linear", "7:0 0"), "7:0 0");
  });
});

describe("provisional names", () => {
  it("are never used twice and say so", () => {
    const [first, second] = [provisionalName(), provisionalName()];
    assert.notEqual(first, second);
    assert.ok(isProvisional(first) && isProvisional(second));
    assert.ok(!isProvisional("data" as DmName) && !isProvisional("diskloom-making-x" as DmName));
  });

  it("of the dead are removed, of the living and of strangers not", async () => {
    const own = provisionalName();
    const dead = own.replace(/-\d+-\d+-\d+$/, `-${deadProcess()}-1-0`);
    const reused = own.replace(/-\d+-\d+$/, "-1-0");
    const elsewhere = own.replace(/making-\d+/, "making-1");
    const names = [own, dead, reused, elsewhere, "data"];
    const removed: string[] = [];
    using fake = fakeControl((command, bytes) => {
      if (command === dmCommands.DM_LIST_DEVICES) {
        let entry = DM_IOCTL_SIZE;
        names.forEach((name, index) => {
          const next = index === names.length - 1 ? 0 : 160;
          bytes.writeBigUInt64LE(BigInt((253 << 8) | index), entry);
          bytes.writeUInt32LE(next, entry + dmNameListOffsets.next);
          bytes.write(`${name}\0`, entry + dmNameListOffsets.name);
          entry += 160;
        });
        bytes.writeUInt32LE(entry, dmIoctlOffsets.data_size);
      } else if (command === dmCommands.DM_DEV_REMOVE) {
        removed.push(decodeDmStatus(bytes).name);
      }
    });
    await removeLeftovers({ control: fake.control, signal: new AbortController().signal });
    assert.deepEqual(removed, [dead, reused]);
  });

  function deadProcess(): number {
    return spawnSync("true").pid;
  }
});

// Where there is one, the guest's tests say what it does.
if (!mapperPresent() && process.geteuid?.() === 0) {
  describe("a kernel without a device mapper", () => {
    it("is told by one clear refusal", () => {
      assert.throws(
        () => openControl(),
        (error) => error instanceof Problem && error.data.reason === "unsupported" && /dm_mod/.test(error.message),
      );
    });
  });
}

describe("semaphores", () => {
  const key = 0x0d4d0000 | (process.pid & 0xffff) | 1;

  it("count, and go with their scope", () => {
    {
      using semaphore = Semaphore.create(key, 1);
      assert.ok(semaphore);
      assert.equal(Semaphore.create(key, 1), undefined);
      semaphore.add(1);
      assert.equal(semaphore.value(), 2);
      semaphore.add(-2);
      assert.equal(semaphore.value(), 0);
      assert.throws(
        () => semaphore.add(-1),
        (error) => error instanceof KernelError && error.errno === "EAGAIN",
      );
    }
    using again = Semaphore.create(key, 0);
    assert.ok(again);
  });

  it("are waited for until they are 0, and no longer than that", async () => {
    using semaphore = Semaphore.create(key, 1);
    assert.ok(semaphore);
    assert.equal(await semaphore.becomesZero(1), false);
    const waiting = semaphore.becomesZero(60_000);
    semaphore.add(-1);
    assert.equal(await waiting, true);
    assert.equal(await semaphore.becomesZero(60_000), true);
  });

  it("may be removed by others", async () => {
    using semaphore = Semaphore.create(key, 1);
    assert.ok(semaphore);
    const waiting = semaphore.becomesZero(60_000);
    execFileSync("ipcrm", ["-S", `0x${key.toString(16)}`]);
    assert.equal(semaphore.value(), undefined);
    assert.equal(await waiting, true);
    assert.equal(await semaphore.becomesZero(60_000), true);
  });
});
