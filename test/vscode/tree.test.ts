/* The tree's commands as a person gives them, each by what it has done to the machine, the window or the clipboard. */
import assert from "node:assert/strict";
import { mkdirSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import test from "node:test";
import { MiB, run, Workshop } from "../images";
import { clipboard } from "./clipboard";
import { DevicesView } from "./devices-view";
import { type Loop, loopOf, losetup, losetupDetach, mountsOf } from "./loops";
import { folderOf, processesUnder } from "./processes";
import { newWindow, type Person } from "./seat";
import { setStage, WITH_TOOLTIPS } from "./stage";
import { until } from "./until";

const stage = setStage(
  "tree",
  (shop) => {
    mkdirSync(shop.path("deep"));
    shop.fileSystem("ext4", "deep/inner");
    shop.blank("growing.img", 8 * MiB);
    shop.blank("firmware", MiB);
    writeFileSync(shop.path("build.sh"), "make image\n");
    shop.disk("parts.img", 32 * MiB, "label: gpt\nsize=8MiB, name=one\n");
    shop.fileSystem("luks", "vault");
    physicalVolume(shop.blank("volume.img", 16 * MiB));
    shop.fileSystem("ext4", "whole", 8 * MiB);
    truncateSync(shop.fileSystem("ext4", "cut", 8 * MiB), 4 * MiB);
    const damaged = shop.disk("damaged.img", 32 * MiB, "label: gpt\nsize=8MiB, name=survivor\n");
    run("dd", ["if=/dev/urandom", `of=${damaged}`, "bs=512", "seek=1", "count=1", "conv=notrunc", "status=none"]);
  },
  { settings: WITH_TOOLTIPS },
);
const { shop, errand } = stage;

/** LVM writes to block devices only. */
function physicalVolume(image: string): void {
  const device = losetup(image);
  try {
    const config = `devices { filter=["a|^${device}$|","r|.*|"] use_devicesfile=0 }`;
    run("pvcreate", ["-q", "-y", "-Z", "n", "--config", config, device]);
  } finally {
    run("losetup", ["--detach", device]);
  }
}

/** Right-clicks an image in the explorer and attaches it: it is ours, then. */
async function attach(name: string): Promise<Loop> {
  const { person } = stage.seat;
  await person.openView("Explorer");
  await person.contextMenu(person.treeItem(name), "Attach as Loop Device");
  const loop = await until(`the loop device of ${name}`, () => {
    const found = loopOf(shop.path(name));
    return found?.autoclear === false && found;
  });
  await person.dismissToasts();
  await stage.view.open();
  await stage.view.row(loop).waitFor();
  return loop;
}

function partitionsOf({ device }: Loop): string[] {
  return run("lsblk", ["--noheadings", "--raw", "--output", "PATH,SIZE,START", device]).trim().split("\n").slice(1);
}

/** What is in the editor in front. */
async function editorText({ page }: Person): Promise<string> {
  const lines = page.locator(".editor-group-container.active .view-lines .view-line");
  // It draws blanks that don't break.
  return (await lines.allInnerTexts()).join("\n").replaceAll("\u00a0", " ");
}

function untilEditorSays(person: Person, ...words: RegExp[]): Promise<true> {
  return until(`an editor with ${words.join(" and ")}`, async () => {
    const text = await editorText(person);
    if (!words.every((word) => word.test(text))) {
      throw new Error(`it has:\n${text}`);
    }
    return true as const;
  });
}

const tab = ({ page }: Person, title: string) => page.locator(".tabs-container .tab.active", { hasText: title });

errand("Properties: all that is known, to be read and searched, and live", async (person) => {
  const loop = await attach("whole.ext4");
  const name = basename(loop.device);
  await person.contextMenu(stage.view.row(loop), "Properties");
  await tab(person, `${name} – Properties`).waitFor();
  const owner = /Set up by +root \(user 0\)/;
  const image = new RegExp(`Image +${shop.path("whole.ext4")}`);
  await untilEditorSays(person, new RegExp(`^${loop.device}`), owner, image, /Size +8 MiB \(8,388,608 bytes\)/);
  await untilEditorSays(person, /Content +ext4/, /Label +Ext Label/, /Access +read and write/, /Autoclear +off/);

  const target = shop.path("mounted");
  mkdirSync(target);
  run("mount", [loop.device, target]);
  await untilEditorSays(person, new RegExp(`Mounted at ${target}`), /Used +\S+ [KM]iB \([\d,]+ bytes\)/);
  // It can't be typed into.
  const before = await editorText(person);
  await person.page.locator(".editor-group-container.active .view-lines").click();
  await person.page.keyboard.type("x");
  assert.equal(await editorText(person), before);

  await person.contextMenu(person.treeItem(target), "Properties");
  await tab(person, "mounted – Properties").waitFor();
  await untilEditorSays(person, new RegExp(`^${target}`), /File system +ext4/, /Options +\S+/);
  run("umount", [target]);
  await untilEditorSays(person, /^mounted isn't there any more\./);

  await person.palette("Diskloom: Properties");
  await person.quickPick(name);
  await tab(person, `${name} – Properties`).waitFor();
  await untilEditorSays(person, new RegExp(`^${loop.device}`));
  await stage.view.pressInline(loop, "Detach");
  await untilEditorSays(person, new RegExp(`^${name} isn't there any more\\.`));
});

errand("Copy Path: of a device and of a partition", async (person) => {
  const loop = await attach("parts.img");
  for (const [row, path] of [
    [stage.view.row(loop), loop.device],
    [person.treeItem(`${basename(loop.device)}p1`), `${loop.device}p1`],
  ] as const) {
    await person.contextMenu(row, "Copy Path");
    await until(`${path} in the clipboard`, async () => (await clipboard(person)) === path);
  }
  await person.contextMenu(person.treeItem(`${basename(loop.device)}p1`), "Properties");
  await untilEditorSays(person, new RegExp(`^${loop.device}p1`), /Name +one/, /Content +empty/);
});

errand("Open Terminal Here: a shell in the folder that is mounted", async (person) => {
  const loop = await attach("whole.ext4");
  const target = shop.path("terminal");
  mkdirSync(target);
  run("mount", [loop.device, target]);
  const shells = () => processesUnder(stage.served.pid).filter((pid) => folderOf(pid) === target);
  await person.contextMenu(person.treeItem(target), "Open Terminal Here");
  await until("a shell in it", () => shells().length > 0);
  await person.palette("Terminal: Kill the Active Terminal Instance");
  await until("its end", () => shells().length === 0);
  run("umount", [target]);
});

errand("Reveal Image: it is selected in the explorer, in whatever folder", async (person) => {
  const image = shop.path("deep/inner.ext4");
  const device = losetup(image);
  await stage.view.open();
  await person.contextMenu(stage.view.row({ device, image }), "Reveal Image");
  const row = person.treeItem("inner.ext4");
  await until("the image, selected", async () => (await row.getAttribute("aria-selected")) === "true");

  using elsewhere = new Workshop();
  const outside = elsewhere.blank("outside.img", MiB);
  const other = losetup(outside);
  try {
    await stage.view.open();
    await person.contextMenu(stage.view.row({ device: other, image: outside }), "Reveal Image");
    const toast = await person.toast(`The image is ${outside}, outside of this workspace.`);
    await toast.click("Copy Path");
    await until("its path in the clipboard", async () => (await clipboard(person)) === outside);
  } finally {
    await losetupDetach({ device: other, image: outside });
  }
});

errand("Resize to Image: the device has the image's new size", async (person) => {
  const loop = await attach("growing.img");
  const size = () => Number(run("blockdev", ["--getsize64", loop.device]));
  truncateSync(loop.image, 12 * MiB);
  assert.equal(size(), 8 * MiB);
  await person.contextMenu(stage.view.row(loop), "Resize to Image");
  await until("the new size", () => size() === 12 * MiB);
  await stage.view.status(new RegExp(`${basename(loop.device)} was 8 MiB, and is now 12 MiB`));
  await stage.view.untilLabelled(loop, /· 12 MiB/);
});

errand("Rescan Partitions: the kernel has what the table says now", async (person) => {
  const loop = await attach("parts.img");
  assert.equal(partitionsOf(loop).length, 1);
  run("sfdisk", ["-q", "--no-reread", "--no-tell-kernel", loop.image], "label: gpt\nsize=8MiB\nsize=4MiB, name=two\n");
  await person.contextMenu(stage.view.row(loop), "Rescan Partitions");
  await until("two partitions", () => partitionsOf(loop).length === 2);
  await person.treeItem(`${basename(loop.device)}p2`).waitFor();
  await stage.view.status(/has 2 partitions/);
});

errand("on a file that may be an image, it can be attached, and the rest is in a submenu", async (person) => {
  await person.openView("Explorer");
  const ours = (entries: string[]) => entries.filter((entry) => /Attach|Diskloom|Disk Map/.test(entry));
  for (const [name, expected] of [
    ["firmware", ["Attach as Loop Device", "Diskloom"]],
    ["growing.img", ["Attach and Mount", "Attach as Loop Device", "Attach with Options...", "Show Disk Map"]],
    ["build.sh", []],
  ] as const) {
    const entries = await person.openContextMenu(person.treeItem(name));
    await person.page.keyboard.press("Escape");
    assert.deepEqual(ours(entries), expected, name);
  }
  await person.contextMenu(person.treeItem("firmware"), "Diskloom", "Attach with Options...");
  await person.page.locator(".quick-input-title", { hasText: "Attach firmware with Options" }).waitFor();
  await person.page.keyboard.press("Escape");
});

errand("what is encrypted or a part of a volume is shown as that, and not offered to be mounted", async (person) => {
  for (const [name, content, said] of [
    ["vault.luks", "crypto_LUKS “vault”", "it is encrypted (crypto_LUKS)"],
    ["volume.img", "LVM2_member", "it is a part of a volume or array (LVM2_member)"],
  ] as const) {
    await person.openView("Explorer");
    const submenu = name.endsWith(".img") ? [] : ["Diskloom"];
    await person.contextMenu(person.treeItem(name), ...submenu, "Attach and Mount");
    await person.toast(`There is nothing to mount on ${name}: ${said}.`);
    await until("nothing attached", () => loopOf(shop.path(name)) === undefined);
    const loop = await attach(name);
    await stage.view.untilLabelled(loop, new RegExp(` · ${content}$`));
    const entries = await person.openContextMenu(stage.view.row(loop));
    await person.page.keyboard.press("Escape");
    assert.ok(entries.includes("Detach") && !entries.includes("Mount"), entries.join(", "));
  }
});

errand("what was cut short or is damaged is told apart, at once and in the tree", async (person) => {
  for (const [name, words, sentence] of [
    ["cut.ext4", "cut short", "Cut short: its ext4 has 8 MiB, of which the last 4 MiB are missing."],
    ["damaged.img", "damaged GPT", "The first copy of the partition table (GPT) is damaged."],
  ] as const) {
    await person.openView("Explorer");
    await person.contextMenu(person.treeItem(name), "Attach as Loop Device");
    await person.toast(sentence);
    const loop = await until("the device", () => loopOf(shop.path(name)));
    await stage.view.open();
    await stage.view.untilLabelled(loop, new RegExp(` · ${words}$`));
    await until(`“${sentence}” in the tooltip`, async () => (await stage.view.tooltip(loop)).includes(sentence));
  }
  const { device } = await until("the device", () => loopOf(shop.path("cut.ext4")));
  await person.dismissToasts();
  await person.contextMenu(stage.view.row({ device }), "Mount");
  await person.toast(/It was cut short: it has 8388608 bytes by its own word, and 4194304 are there\./);
});

test("Add Mounted Folder to Workspace: it is in the explorer, with its files", async () => {
  // Where a folder is open and no workspace, VS Code makes one and loads the window anew.
  using elsewhere = new Workshop();
  const workspace = elsewhere.path("images.code-workspace");
  writeFileSync(workspace, JSON.stringify({ folders: [{ path: shop.folder }] }));
  const { context } = stage.seat.browser;
  const open = async () => (await context.newPage()).goto(stage.served.address({ workspace }));
  const person = await newWindow(stage.seat.browser, open, "tree-workspace");
  try {
    await person.does("add a mounted folder", () => addFolder(person, losetup(shop.path("whole.ext4"))));
  } finally {
    await person.page.close();
  }
});

/** As long as we wait for VS Code to add a folder, and some more. */
const ADDING_LIMIT = 15_000;

async function addFolder(person: Person, device: string): Promise<void> {
  const view = new DevicesView(person);
  const loop = { device, image: shop.path("whole.ext4") };
  await view.open();
  await person.contextMenu(view.row(loop), "Mount");
  await (await person.dialog(/set up by/)).click("Mount Anyway");
  const [target = ""] = await until("the mount", () => mountsOf(device).length > 0 && mountsOf(device));
  const { dev } = statSync(target);
  assert.equal(`${Math.floor(dev / 256)}:${dev % 256}`, run("lsblk", ["-nro", "MAJ:MIN", device]).trim());
  await person.dismissToasts();
  const folder = person.treeItem(basename(target));
  await until("the folder in the explorer", async () => {
    // VS Code may lose what is added while a window is still starting: who sees that adds it again.
    await view.open();
    await person.contextMenu(person.treeItem(target), "Add Mounted Folder to Workspace");
    await person.openView("Explorer");
    await folder.waitFor({ timeout: ADDING_LIMIT });
    return true;
  });
  await until("its files", async () => {
    if ((await folder.getAttribute("aria-expanded")) === "false") {
      await folder.click();
    }
    return person.treeItem("lost+found").isVisible();
  });
  await view.open();
  await person.contextMenu(view.row(loop), "Unmount and Detach");
  await (await person.dialog(/set up by/)).click("Detach Anyway");
  await view.untilGone(loop);
  assert.equal(loopOf(loop.image), undefined);
}
