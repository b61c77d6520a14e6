/* From an image to its files and back, as a person does it: attach and mount, edit, unmount and detach. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chownSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { MiB, run, Workshop } from "../images";
import { DevicesView } from "./devices-view";
import { loopOf } from "./loops";
import { newWindow, type Person, type Seat } from "./seat";
import { USER } from "./unprivileged-place";
import { until } from "./until";

/** A disk's image, and what is to be seen of it. */
export interface Disk {
  image: string;
  /** The labels of what this kernel can mount of it, in order. */
  mounted: string[];
  /** The partition whose file is edited: its label, and its place in the image in sectors. */
  edited: { label: string; start: number };
}

const TWO = { start: [2048, 20480], labels: ["config", "system"] } as const;
const PI = { boot: 8192, root: 24576 } as const;
const PART = 8 * MiB;
const FILE = "notes.txt";

/** Puts an ext4 into a disk, with a file in it that belongs to its owner. */
function putExt4(place: Workshop, disk: string, start: number, label: string, owner: number): void {
  // Not beside the images: a row that comes or goes in the explorer moves those that are about to be clicked.
  using scratch = new Workshop();
  const files = scratch.path("files");
  mkdirSync(files);
  writeFileSync(`${files}/${FILE}`, `This is ${label}.\n`);
  chownSync(`${files}/${FILE}`, owner, owner);
  const part = scratch.blank("part", PART);
  run("mkfs.ext4", ["-q", "-F", "-L", label, "-d", files, part]);
  place.put(disk, start * 512, part);
}

/** A disk with ext4 twice. */
export function twoPartitions(place: Workshop, name: string): Disk {
  const { start, labels } = TWO;
  const rows = start.map((sector) => `start=${sector}, size=8M\n`).join("");
  const image = place.disk(name, 20 * MiB, `label: gpt\n${rows}`);
  labels.forEach((label, index) => void putExt4(place, image, start[index] ?? 0, label, 0));
  return { image, mounted: [...labels], edited: { label: labels[1], start: start[1] } };
}

/** As Raspberry Pi OS comes: an MBR, a small vfat to boot from, and ext4. */
export function raspberryPi(place: Workshop, name: string, owner: number): Disk {
  const script = `label: dos\nstart=${PI.boot}, size=8M, type=c\nstart=${PI.root}, type=83\n`;
  const image = place.disk(name, 24 * MiB, script);
  using scratch = new Workshop();
  const boot = scratch.blank("boot", PART);
  run("mkfs.vfat", ["-n", "bootfs", boot]);
  place.put(image, PI.boot * 512, boot);
  putExt4(place, image, PI.root, "rootfs", owner);
  chownSync(image, owner, owner);
  const mounted = kernelHas("vfat") ? ["bootfs", "rootfs"] : ["rootfs"];
  return { image, mounted, edited: { label: "rootfs", start: PI.root } };
}

function kernelHas(fileSystem: string): boolean {
  const known = () => readFileSync("/proc/filesystems", "utf8").includes(`\t${fileSystem}\n`);
  return known() || (spawnSync("modprobe", ["--quiet", fileSystem]).status === 0 && known());
}

/** A file system, and all in it root's; the image is somebody's. */
export function filesOfRoot(place: Workshop, name: string, owner: number): Disk {
  const image = place.blank(name, PART);
  putExt4(place, image, 0, "roots", 0);
  chownSync(image, owner, owner);
  return { image, mounted: ["roots"], edited: { label: "roots", start: 0 } };
}

/** What debugfs has to say of the file as it is in the image, without any device. */
function inImage({ image, edited }: Disk, request: "cat" | "stat" = "cat"): string {
  using scratch = new Workshop();
  const part = scratch.path("part");
  run("dd", [`if=${image}`, `of=${part}`, "bs=512", `skip=${edited.start}`, `count=${PART / 512}`, "status=none"]);
  return run("debugfs", ["-R", `${request} ${FILE}`, part]);
}

/** From now on, what is clicked of menus and messages is written down. */
async function watchClicks({ page }: Person): Promise<() => Promise<string[]>> {
  await page.evaluate(() => {
    const clicked: string[] = [];
    Object.assign(window, { clicked });
    const note = ({ target, button }: MouseEvent) => {
      const offer = target instanceof Element ? target.closest(".action-menu-item, .monaco-button") : null;
      if (button === 0 && offer) {
        clicked.push(offer.textContent?.trim() ?? "");
      }
    };
    window.addEventListener("mousedown", note, { capture: true });
  });
  return () => page.evaluate(() => ("clicked" in window ? (window.clicked as string[]) : []));
}

/** Edits the file in a window on its folder, and closes that. */
async function editIn(inside: Person, folder: string): Promise<void> {
  try {
    await inside.treeItem(FILE).dblclick();
    await inside.page.locator(".monaco-editor .view-lines", { hasText: "This" }).click();
    await inside.page.keyboard.press("Control+Home");
    await inside.page.keyboard.type("Edited in VS Code. ");
    await inside.page.keyboard.press("Control+S");
    await until("the file is saved", () => readFileSync(`${folder}/${FILE}`, "utf8").startsWith("Edited"));
  } finally {
    await inside.page.close();
  }
}

/**
 * Attach and Mount, Open Folder, an edit, Unmount and Detach.
 * @param home where what is mounted for this person goes, and how it is seen from here
 */
export async function editInImage(at: Seat, disk: Disk, home: { path: string; seen: string }): Promise<void> {
  const { person } = at;
  const { image, mounted, edited } = disk;
  const tree = new DevicesView(person);
  await person.openView("Explorer");
  await person.treeItem(basename(image)).waitFor();
  const clicks = await watchClicks(person);
  await person.contextMenu(person.treeItem(basename(image)), "Attach and Mount");
  const places = mounted.map((label) => `${home.path}/${label}`).join(" and ");
  const toast = await person.toast(`${basename(image)} is mounted at ${places}.`);
  const log = mounted.length === 1 ? ["Show Log"] : [];
  assert.deepEqual(toast.buttons, ["Open Folder", "Show Device", ...log]);
  const loop = await until("the loop device", () => loopOf(image));
  if (mounted.length === 1) {
    // What this kernel can't mount is said, and what it would take.
    const missing = `${loop.device}p1 can't be mounted: this kernel has no vfat.`;
    assert.ok(toast.text.includes(missing) && /module "?(.*modprobe )?vfat/.test(toast.text), toast.text);
  }
  await person.screenshot("attached and mounted");

  const open = async () => {
    await toast.click("Open Folder");
    if (mounted.length > 1) {
      await person.quickPick(edited.label);
    }
  };
  await editIn(await newWindow(at.browser, open), `${home.seen}/${edited.label}`);

  await tree.open();
  const row = person.treeItem(`${home.path}/${edited.label}`);
  await row.waitFor();
  assert.match((await row.getAttribute("aria-label")) ?? "", /ext4 · .* of .* used/);
  await person.screenshot("tree with mounts");
  const entries = await person.openContextMenu(tree.row(loop));
  assert.equal(entries.includes("Mount"), mounted.length < 2 && !kernelHas("vfat"), entries.join(", "));
  await person.screenshot("menu of a mounted device");
  await person.page.keyboard.press("Escape");
  await person.contextMenu(tree.row(loop), "Unmount and Detach");
  await tree.untilGone(loop);
  assert.equal(loopOf(image), undefined);
  assert.deepEqual(
    mounted.filter((label) => existsSync(`${home.seen}/${label}`)),
    [],
  );
  assert.equal(inImage(disk), `Edited in VS Code. This is ${edited.label}.\n`);
  assert.deepEqual(await clicks(), ["Attach and Mount", "Open Folder", "Unmount and Detach"]);
}

/** Mount with Root's Files as Mine, an edit, Unmount: for root it was root who did it. */
export async function editAsMine(at: Seat, disk: Disk, home: { path: string; seen: string }): Promise<void> {
  const { person } = at;
  const tree = new DevicesView(person);
  await person.openView("Explorer");
  await person.contextMenu(person.treeItem(basename(disk.image)), "Attach as Loop Device");
  const loop = await until("the loop device", () => loopOf(disk.image));
  await person.dismissToasts();
  await tree.open();
  await person.contextMenu(tree.row(loop), "Mount with Root's Files as Mine");
  const target = `${home.path}/${disk.edited.label}`;
  const toast = await person.toast(`${basename(loop.device)} is mounted at ${target}.`);
  const seen = `${home.seen}/${disk.edited.label}`;
  assert.equal(statSync(`${seen}/${FILE}`).uid, USER.uid);
  await editIn(await newWindow(at.browser, () => toast.click("Open Folder")), seen);

  await tree.pressOn(person.treeItem(target), "Unmount");
  await person.treeItem(target).waitFor({ state: "detached" });
  await tree.pressInline(loop, "Detach");
  await tree.untilGone(loop);
  assert.equal(inImage(disk), "Edited in VS Code. This is roots.\n");
  assert.match(inImage(disk, "stat"), /User: +0 +Group: +0/);
}
