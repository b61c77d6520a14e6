/* The commands for mapper devices, from the questions to the device: their user is a script, all else is real. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { CommandContext } from "../../extension/commands/context";
import type { Device, LoopDevice, MapperDevice, Method, Params } from "../../helper/protocol";
import { TestHelper } from "../helper";
import { ScriptedWindow } from "./scripted-window";

const SECTORS = 16384;
const user = new ScriptedWindow();
user.install();

const dmsetup = (...args: string[]) => execFileSync("dmsetup", args, { encoding: "utf8" });
const starting = (word: string) => (items: readonly { label: string }[]) =>
  items.find(({ label }) => label.includes(word));
const called =
  (...names: string[]) =>
  (items: readonly { label: string }[]) =>
    items.filter(({ label }) => names.some((name) => label.endsWith(` ${name}`)));

describe("commands for mapper devices", () => {
  const folder = mkdtempSync(join(tmpdir(), "diskloom-"));
  const loops: LoopDevice[] = [];
  let helper: TestHelper;
  let context: CommandContext;

  before(async () => {
    helper = await TestHelper.start();
    for (const name of ["one.img", "two.img"]) {
      const path = join(folder, name);
      writeFileSync(path, "");
      truncateSync(path, SECTORS * 512);
      loops.push((await helper.request("loop/attach", { path })).device);
    }
    const model = {
      devices: [] as readonly Device[],
      async refresh() {
        model.devices = (await helper.request("devices/list", {})).devices;
      },
    };
    const { failureOf } = await import("../../extension/helper/failure");
    const client = {
      // As the extension's session sends it: with a token for progress where progress is wanted.
      request: (method: Method, params: Params<Method>, { progress }: { progress?: unknown } = {}) =>
        helper.request(method, (progress ? { ...params, workDoneToken: "t" } : params) as never).catch((error) => {
          throw failureOf(error, false);
        }),
    };
    const log = { error: (message: string) => user.messages.push(message), show() {} };
    context = { client, model, log, view: { clearMessage() {}, reveal() {} } } as unknown as CommandContext;
    await model.refresh();
  });

  after(async () => {
    for (const { device } of loops) {
      await helper.request("loop/detach", { device }).catch(() => {});
    }
    await helper[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  });

  const names = () => loops.map(({ device }) => device.slice("/dev/".length));
  async function find(name: string): Promise<MapperDevice> {
    const { devices } = await helper.request("devices/list", {});
    const found = devices.find((device) => device.kind === "mapper" && device.name === name);
    assert.ok(found?.kind === "mapper", `${name} isn't there: ${user.messages.join(" ")}`);
    return found;
  }
  async function itemFor(name: string): Promise<unknown> {
    const { DeviceItem } = await import("../../extension/devices/items");
    return new DeviceItem(await find(name), []);
  }
  async function create(...answers: ScriptedWindow["answers"]): Promise<void> {
    user.answers.push(...answers);
    const { createMapper } = await import("../../extension/commands/createMapper");
    await context.model.refresh();
    await createMapper(context);
  }
  async function remove(name: string): Promise<void> {
    const { removeMapper } = await import("../../extension/commands/removeMapper");
    await removeMapper(context, await itemFor(name));
    assert.ok(!dmsetup("ls").includes(`${name}\t`), user.messages.join(" "));
  }

  test("a linear device over two devices, one after the other", async () => {
    await create(starting("Linear"), called(...names()), "joined");
    const [first, second] = loops;
    assert.equal(
      dmsetup("table", "joined"),
      `0 ${SECTORS} linear ${first?.devnum} 0\n${SECTORS} ${SECTORS} linear ${second?.devnum} 0\n`,
    );
  });

  test("it is suspended, resumed and renamed", async () => {
    const { resumeMapper, suspendMapper } = await import("../../extension/commands/suspendMapper");
    const { renameMapper } = await import("../../extension/commands/renameMapper");
    await suspendMapper(context, await itemFor("joined"));
    assert.match(dmsetup("info", "joined"), /State:\s+SUSPENDED/);
    await resumeMapper(context, await itemFor("joined"));
    assert.match(dmsetup("info", "joined"), /State:\s+ACTIVE/);
    user.answers.push("renamed");
    await renameMapper(context, await itemFor("joined"));
    assert.ok(dmsetup("ls").includes("renamed\t"));
  });

  test("its table is shown as dmsetup shows it, and it is removed", async () => {
    const { showTable } = await import("../../extension/commands/showTable");
    await showTable(context, await itemFor("renamed"));
    assert.equal(user.document, dmsetup("table", "renamed"));
    await remove("renamed");
  });

  test("stripes, a snapshot, zeros, errors and a typed table", async () => {
    await create(starting("Striped"), called(...names()), "striped");
    assert.match(dmsetup("table", "striped"), new RegExp(`^0 ${2 * SECTORS} striped 2 128 `));
    await remove("striped");

    const [first, second] = names();
    const one =
      (name = "") =>
      (items: readonly { label: string }[]) =>
        called(name)(items)[0];
    await create(starting("Snapshot"), one(first), one(second), "snapped");
    assert.match(dmsetup("table", "snapped"), new RegExp(`^0 ${SECTORS} snapshot `));
    await remove("snapped");

    await create(starting("Zero"), "1 MiB", "zeros");
    assert.equal(dmsetup("table", "zeros").trim(), "0 2048 zero");
    await remove("zeros");

    await create(starting("Error"), "64 KiB", "errors");
    assert.equal(dmsetup("table", "errors").trim(), "0 128 error");
    await remove("errors");

    await create(starting("Type a Table"), `0 8 linear ${loops[0]?.device} 8`, "typed");
    assert.equal(dmsetup("table", "typed").trim(), `0 8 linear ${loops[0]?.devnum} 8`);
    await remove("typed");
  });

  test("a table from a file, as dmsetup reads it", async () => {
    const file = join(folder, "table");
    const [first, second] = loops.map(({ device }) => device);
    const table = `# two halves\n0 16 linear ${first} 8\n\n16 24 linear ${second} 0 # the other\n`;
    writeFileSync(file, table);
    await create(starting("Table from a File"), () => [file], "filed");
    execFileSync("dmsetup", ["create", "same"], { input: table });
    assert.match(dmsetup("table", "filed"), /^0 16 linear \d+:\d+ 8\n16 24 linear \d+:\d+ 0\n$/);
    assert.equal(dmsetup("table", "filed"), dmsetup("table", "same"));
    await remove("filed");
    dmsetup("remove", "--retry", "same");

    // Who goes away at the question for the file, isn't asked for a name.
    await create(starting("Table from a File"), () => undefined);
    assert.equal(user.answers.length, 0);
    user.messages.length = 0;
    writeFileSync(file, "0 8 zero\n8 bytes of crypt 00112233\n");
    await create(starting("Table from a File"), () => [file]);
    assert.match(user.messages.join(" "), /Line 2 of the table/);
    assert.doesNotMatch(user.messages.join(" "), /00112233/);
  });

  test("what can't be is said, and nothing is left", async () => {
    user.messages.length = 0;
    await create(starting("Type a Table"), "0 8 linear /dev/nowhere 0", "never");
    assert.match(user.messages.join(" "), /\/dev\/nowhere, which doesn't exist/);
    assert.ok(!dmsetup("ls").includes("never"));
  });

  test("one in use stays, and who uses it is named", async () => {
    await create(starting("Type a Table"), `0 64 linear ${loops[0]?.device} 0`, "below");
    await create(starting("Type a Table"), "0 8 linear /dev/mapper/below 0", "above");
    user.messages.length = 0;
    const { removeMapper } = await import("../../extension/commands/removeMapper");
    await removeMapper(context, await itemFor("below"));
    assert.match(user.messages.join(" "), /\/dev\/mapper\/below is in use: under \/dev\/mapper\/above\./);
    assert.ok(dmsetup("ls").includes("below\t"));
    await remove("above");
    await remove("below");
  });

  test("one that somebody else made is removed only when that is confirmed", async () => {
    dmsetup("create", "theirs", "--table", "0 8 zero", "--uuid", "THEIRS");
    const { removeMapper } = await import("../../extension/commands/removeMapper");
    user.answers.push(() => undefined);
    await removeMapper(context, await itemFor("theirs"));
    assert.ok(dmsetup("ls").includes("theirs\t"));
    const { copyUuid } = await import("../../extension/commands/copyUuid");
    await copyUuid(context, await itemFor("theirs"));
    assert.equal(user.clipboard, "THEIRS");
    user.answers.push("Remove Anyway");
    await remove("theirs");
  });
});
