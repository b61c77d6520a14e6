/* Attach with Options, and several images at once, as a person does it; what came of it is asked of losetup. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import test, { after, afterEach, before } from "node:test";
import { MiB, run, Workshop } from "../images";
import { DevicesView } from "./devices-view";
import { loopOf, loops, loopsUnder, losetup, losetupDetach, mountsOf, releaseAllUnder } from "./loops";
import { loadServe, type Person, packaged, ROOMY, type Seat, type Served, takeSeat } from "./seat";
import { until } from "./until";

const shop = new Workshop();
let served: Served;
let seat: Seat;

before(async () => {
  shop.disk("disk.img", 24 * MiB, "label: gpt\nstart=2048, size=8M, name=first\nstart=20480, size=8M, name=second\n");
  for (const name of ["one.img", "two.img", "three.img"]) {
    shop.blank(name, MiB);
  }
  shop.blank("empty.img", 0);
  shop.fileSystem("squashfs", "packed");
  shop.fileSystem("ext4", "rootfs");
  const { serve } = await loadServe();
  served = await serve({
    ...(await packaged()),
    settings: { "workbench.list.openMode": "doubleClick", "explorer.autoReveal": false },
  });
  seat = await takeSeat(served, "options", { folder: shop.folder, viewport: ROOMY });
});

afterEach(async () => {
  // Questions that a failed test has left.
  await seat?.person.page.keyboard.press("Escape");
  await releaseAllUnder(shop.folder);
  await seat?.person.dismissToasts();
});

after(async () => {
  await seat?.browser.close();
  await served?.close();
  await releaseAllUnder(shop.folder);
  shop[Symbol.dispose]();
});

function errand(title: string, body: (person: Person) => Promise<void>): void {
  test(title, () => seat.person.does(title, body));
}

/** How an image is attached: what losetup calls these. */
function setup(image: string): Record<string, unknown> {
  const columns = "NAME,RO,OFFSET,SIZELIMIT,LOG-SEC,PARTSCAN,DIO,BACK-FILE";
  const { loopdevices } = JSON.parse(run("losetup", ["--list", "--json", "--output", columns]));
  const found = loopdevices.find((device: Record<string, unknown>) => device["back-file"] === image);
  assert.ok(found, `${image} isn't attached`);
  const { name, "back-file": _, ...rest } = found;
  return rest;
}

async function begin(person: Person, name: string): Promise<void> {
  await person.openView("Explorer");
  await person.contextMenu(person.treeItem(name), "Attach with Options...");
}

/** Waits for a step, by what its title and its question say; "2/" is the second of however many. */
async function step(person: Person, number: string, question: string): Promise<void> {
  const { page } = person;
  await page.locator(".quick-input-title", { hasText: `(${number}` }).waitFor();
  const asked = page.locator(".quick-input-widget");
  await until(`the question “${question}”`, async () => {
    const placeholder = await asked.locator("input.input").getAttribute("placeholder");
    return (placeholder ?? "").includes(question) || (await asked.innerText()).includes(question);
  });
}

const enter = (person: Person) => person.page.keyboard.press("Enter");
const goBack = (person: Person) =>
  person.page.locator(".quick-input-widget").getByRole("button", { name: "Back" }).click();

errand("Enter all through attaches as usual", async (person) => {
  await begin(person, "one.img");
  await step(person, "1/4", "How is it accessed?");
  await enter(person);
  await step(person, "2/4", "What part of it?");
  await enter(person);
  await step(person, "3/4", "What else?");
  await enter(person);
  await step(person, "4/4", "How large are its sectors?");
  await enter(person);
  await person.toast(/one\.img is attached as loop\d+\.$/);
  const usual = { ro: false, offset: 0, sizelimit: 0, "log-sec": 512, partscan: true };
  assert.deepEqual({ ...setup(shop.path("one.img")), dio: undefined }, { ...usual, dio: undefined });
});

errand("a partition, read-only, without a scan, and the same again with Enter alone", async (person) => {
  const image = shop.path("disk.img");
  const wanted = { ro: true, offset: 20480 * 512, sizelimit: 8 * MiB, "log-sec": 4096, partscan: false };
  await begin(person, "disk.img");
  await step(person, "1/4", "How is it accessed?");
  await person.quickPick("Read-Only");
  await step(person, "2/4", "What part of it?");
  await person.screenshot("partitions of an image");
  await person.quickPick("Partition 2");
  await step(person, "3/4", "What else?");
  await person.screenshot("options");
  await person.quickPick(["Partition Scan"]);
  await step(person, "4/4", "How large are its sectors?");
  await person.quickPick("4096 bytes");
  const toast = await person.toast("disk.img is attached as");
  assert.match(toast.text, /\(read-only\)\.$/);
  assert.deepEqual({ ...setup(image), dio: undefined }, { ...wanted, dio: undefined });

  const { device } = await until("the device", () => loopOf(image));
  await losetupDetach({ device, image });
  await person.dismissToasts();
  await begin(person, "disk.img");
  for (const number of ["1/4", "2/4", "3/4", "4/4"]) {
    await step(person, number, "");
    await enter(person);
  }
  await person.toast("disk.img is attached as");
  assert.deepEqual({ ...setup(image), dio: undefined }, { ...wanted, dio: undefined });
});

errand("an offset and a size, typed; what is wrong with them is said, and one can go back", async (person) => {
  const image = shop.path("disk.img");
  const said = person.page.locator(".quick-input-message");
  const type = (text: string) => person.page.locator(".quick-input-widget input.input").fill(text);
  await begin(person, "disk.img");
  await step(person, "1/4", "How is it accessed?");
  await person.quickPick("Read and Write");
  await step(person, "2/4", "What part of it?");
  await person.quickPick("Offset and Size...");
  await step(person, "3/6", "Where does it begin?");
  await type("a lot");
  await said.filter({ hasText: "Write a whole number of bytes" }).waitFor();
  await enter(person);
  await type("1GiB");
  await said.filter({ hasText: "The image ends before that: it has 24 MiB" }).waitFor();
  await type("1MiB");
  await enter(person);
  await step(person, "4/6", "How large is it?");
  await type("23.5MiB");
  await said.filter({ hasText: "The image has only 23 MiB" }).waitFor();
  await person.screenshot("a size that is too large");
  await goBack(person);
  await step(person, "3/6", "Where does it begin?");
  assert.equal(await person.page.locator(".quick-input-widget input.input").inputValue(), "1MiB");
  await type("2048s");
  await enter(person);
  await step(person, "4/6", "How large is it?");
  await type("4096s");
  await enter(person);
  await step(person, "5/6", "What else?");
  await enter(person);
  await step(person, "6/6", "How large are its sectors?");
  await person.quickPick("Automatic");
  await person.toast("disk.img is attached as");
  const { ro, offset, sizelimit } = setup(image);
  assert.deepEqual({ ro, offset, sizelimit }, { ro: false, offset: MiB, sizelimit: 2 * MiB });
});

errand("a copy in memory leaves the image as it is", async (person) => {
  const before = readFileSync(shop.path("two.img"));
  await begin(person, "two.img");
  await step(person, "1/", "How is it accessed?");
  await person.quickPick("Copy in Memory");
  await step(person, "2/", "What part of it?");
  await person.quickPick("Whole Image");
  await step(person, "3/4", "What else?");
  assert.equal(await person.page.locator(".quick-input-list", { hasText: "Direct I/O" }).count(), 0);
  await enter(person);
  await step(person, "4/4", "How large are its sectors?");
  await enter(person);
  const toast = await person.toast("two.img is attached as loop");
  const name = /loop\d+/.exec(toast.text)?.[0] ?? "";
  try {
    assert.match(readFileSync(`/sys/block/${name}/loop/backing_file`, "utf8"), /^\/memfd:two\.img/);
    run("dd", ["if=/dev/urandom", `of=/dev/${name}`, "bs=4096", "count=4", "status=none", "conv=fsync"]);
    assert.ok(readFileSync(shop.path("two.img")).equals(before));
  } finally {
    run("losetup", ["--detach", `/dev/${name}`]);
  }
});

errand("a huge copy in memory shows how far it is, and is cancelled with nothing left", async (person) => {
  // All of it is a hole: that takes its time, but no memory.
  const image = shop.blank("huge.img", 256 * 1024 * MiB);
  await begin(person, "huge.img");
  await step(person, "1/", "How is it accessed?");
  await person.quickPick("Copy in Memory");
  await step(person, "2/", "What part of it?");
  await person.quickPick("Whole Image");
  await step(person, "3/4", "What else?");
  await enter(person);
  await step(person, "4/4", "How large are its sectors?");
  await enter(person);
  const toast = await person.toast("Copying huge.img into memory");
  assert.match(toast.text, /^Attaching huge\.img/);
  await toast.click("Cancel");
  assert.ok(!loops().some((loop) => loop.image.includes("memfd:huge.img")));
  assert.equal(loopOf(image), undefined);
  assert.equal(await person.page.locator(".notifications-toasts .notification-toast").count(), 0);
});

errand("Escape at any step attaches nothing", async (person) => {
  await begin(person, "one.img");
  await step(person, "1/", "How is it accessed?");
  await enter(person);
  await step(person, "2/", "What part of it?");
  await person.page.keyboard.press("Escape");
  await person.page.locator(".quick-input-widget").waitFor({ state: "hidden" });
  assert.deepEqual(loopsUnder(shop.folder), []);
});

/** Selects files in the explorer and chooses from the context menu of the last. */
async function onSelected(person: Person, names: [string, ...string[]], entry: string): Promise<void> {
  await person.openView("Explorer");
  const files = names.map((name) => person.treeItem(name));
  await person.select(files);
  await person.contextMenu(person.treeItem(names[0]), entry);
}

errand("several images: one message sums up, and names what failed and why", async (person) => {
  await onSelected(person, ["one.img", "empty.img", "two.img"], "Attach as Loop Device");
  const toast = await person.toast("2 of 3 images are attached");
  const nameOf = (name: string) => basename(loopOf(shop.path(name))?.device ?? "");
  assert.match(
    toast.text,
    new RegExp(`attached: one\\.img as ${nameOf("one.img")}, two\\.img as ${nameOf("two.img")}\\. `),
  );
  assert.match(toast.text, /empty\.img: .*is empty, so there is nothing to attach/);
  assert.deepEqual(toast.buttons, ["Show Devices", "Show Log"]);
  await toast.click("Show Devices");
  const view = new DevicesView(person);
  for (const loop of loopsUnder(shop.folder)) {
    await view.row(loop).waitFor();
  }
});

errand("several images are attached and mounted at once", async (person) => {
  await onSelected(person, ["packed.squashfs", "rootfs.ext4"], "Attach and Mount");
  const toast = await person.toast("2 images are mounted");
  for (const name of ["packed.squashfs", "rootfs.ext4"]) {
    const { device } = await until(`the device of ${name}`, () => loopOf(shop.path(name)));
    const [target = ""] = mountsOf(device);
    assert.ok(toast.text.includes(`${name} at ${target}`), toast.text);
  }
});

errand("several images with the same options", async (person) => {
  await onSelected(person, ["one.img", "three.img"], "Attach with Options...");
  await step(person, "1/", "How is it accessed?");
  await person.quickPick("Read-Only");
  await step(person, "2/", "What part of it?");
  await person.quickPick("Whole Image");
  await step(person, "3/4", "What else?");
  await enter(person);
  await step(person, "4/4", "How large are its sectors?");
  await enter(person);
  await person.toast("2 images are attached: ");
  assert.deepEqual(
    loopsUnder(shop.folder).map(({ readOnly }) => readOnly),
    [true, true],
  );
});

errand("a busy device: who uses it is shown, and there are ways on", async (person) => {
  const image = shop.path("rootfs.ext4");
  const device = losetup(image);
  const folder = run("mktemp", ["-d", "/tmp/diskloom-busy-XXXXXX"]).trim();
  run("mount", [device, folder]);
  const shell = spawn("sleep", ["600"], { cwd: folder, stdio: "ignore" });
  try {
    const view = new DevicesView(person);
    await view.open();
    await person.treeItem(folder).waitFor();
    const entries = await person.openContextMenu(view.row({ device }));
    await person.page.keyboard.press("Escape");
    assert.ok(!entries.includes("Detach") && entries.includes("Unmount and Detach"), entries.join());
    await person.palette("Diskloom: Detach");
    await person.quickPick(basename(device));
    await (await person.dialog(device)).click("Detach Anyway");
    const toast = await person.toast(`${device} is in use: mounted at ${folder}.`);
    assert.deepEqual(toast.buttons, ["Unmount and Detach", "Detach When Free", "Show Users"]);
    await toast.click("Show Users");
    const users = person.page.locator(".quick-input-list");
    await users
      .filter({ hasText: `Process ${shell.pid} of root` })
      .filter({ hasText: "sleep 600" })
      .waitFor();
    await person.screenshot("users of a device");
    await person.quickPick("Detach When Free");
    await (await person.dialog(device)).click("Detach Anyway");
    const pending = await person.toast("will be detached as soon as nobody uses it any more.");
    assert.equal(loopOf(image)?.autoclear, true);
    await view.untilLabelled({ device }, /detached with its last user/);
    await pending.click("Keep Attached");
    await (await person.dialog(device)).click("Keep Anyway");
    await until("the device to stay", () => loopOf(image)?.autoclear === false);
  } finally {
    shell.kill("SIGKILL");
    await until("the shell's end", () => shell.exitCode !== null || shell.signalCode !== null);
    run("umount", [folder]);
    run("rmdir", [folder]);
  }
});
