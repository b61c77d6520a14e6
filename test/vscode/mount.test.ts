/* From an image to its files and back, as a person does it: attach and mount, edit, unmount and detach. */
import assert from "node:assert/strict";
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import test, { after, afterEach, before } from "node:test";
import { MiB, run, Workshop } from "../images";
import { DevicesView } from "./devices-view";
import { loopOf, loopsUnder, losetup, mountsOf, releaseAllUnder } from "./loops";
import { loadServe, newWindow, type Person, packaged, ROOMY, type Seat, type Served, takeSeat } from "./seat";
import { UnprivilegedPlace, USER } from "./unprivileged-place";
import { until } from "./until";

const START = [2048, 20480] as const;
const LABELS = ["config", "system"] as const;

const shop = new Workshop();
let served: Served;
let seat: Seat;
let view: DevicesView;

before(async () => {
  twoPartitions(shop, "two.img");
  shop.blank("blank.img", MiB);
  shop.fileSystem("squashfs", "packed");
  const { serve } = await loadServe();
  served = await serve({ vsix: [await packaged()] });
  seat = await takeSeat(served, "mount", { folder: shop.folder, viewport: ROOMY });
  view = new DevicesView(seat.person);
});

afterEach(async () => {
  await seat?.person.dismissToasts().catch(() => {});
});

after(async () => {
  await seat?.browser.close();
  await served?.close();
  for (const { device } of loopsUnder(shop.folder)) {
    for (const [index] of LABELS.entries()) {
      mountsOf(`${device}p${index + 1}`).forEach((target) => void run("umount", [target]));
    }
  }
  await releaseAllUnder(shop.folder);
  shop[Symbol.dispose]();
});

/** A disk with ext4 twice, as the kernel of a container has no vfat; its files belong to its owner. */
function twoPartitions(place: Workshop, name: string, owner = 0): string {
  const disk = place.disk(name, 20 * MiB, `label: gpt\n${START.map((start) => `start=${start}, size=8M\n`).join("")}`);
  using scratch = new Workshop();
  for (const [index, label] of LABELS.entries()) {
    const part = scratch.blank(`${label}.part`, 8 * MiB);
    const file = scratch.path(`${label}/${label}.txt`);
    mkdirSync(scratch.path(label));
    writeFileSync(file, `This is ${label}.\n`);
    chownSync(file, owner, owner);
    run("mkfs.ext4", ["-q", "-F", "-L", label, "-d", scratch.path(label), part]);
    place.put(disk, (START[index] ?? 0) * 512, part);
  }
  chownSync(disk, owner, owner);
  return disk;
}

function errand(title: string, body: (person: Person) => Promise<void>): void {
  test(title, () => seat.person.does(title, body));
}

/** A file as it is in one of the partitions of an image, without any device. */
function inImage(image: string, partition: 0 | 1, file: string): string {
  // Not beside the images: a row that comes or goes in the explorer moves those that are about to be clicked.
  using scratch = new Workshop();
  const part = scratch.path("part");
  run("dd", [`if=${image}`, `of=${part}`, "bs=512", `skip=${START[partition]}`, "count=16384", "status=none"]);
  return run("debugfs", ["-R", `cat ${file}`, part]);
}

/**
 * Attach and Mount, Open Folder, an edit, Unmount and Detach.
 * @param home where what is mounted for this person goes, and how it is seen from here
 */
async function editInImage(at: Seat, image: string, home: { path: string; seen: string }): Promise<void> {
  const { person } = at;
  const tree = new DevicesView(person);
  await person.openView("Explorer");
  await person.contextMenu(person.treeItem(basename(image)), "Attach and Mount");
  const toast = await person.toast(
    `${basename(image)} is mounted at ${LABELS.map((label) => `${home.path}/${label}`).join(" and ")}.`,
  );
  assert.deepEqual(toast.buttons, ["Open Folder", "Show Device"]);
  const loop = await until("the loop device", () => loopOf(image));
  await person.screenshot("attached and mounted");

  const inside = await newWindow(at.browser, async () => {
    await toast.click("Open Folder");
    await person.quickPick("system");
  });
  try {
    await inside.treeItem("system.txt").dblclick();
    await inside.page.locator(".monaco-editor .view-lines", { hasText: "This" }).click();
    await inside.page.keyboard.press("Control+Home");
    await inside.page.keyboard.type("Edited in VS Code. ");
    await inside.page.keyboard.press("Control+S");
    const saved = () => readFileSync(`${home.seen}/system/system.txt`, "utf8").startsWith("Edited");
    await until("the file is saved", saved);
  } finally {
    await inside.page.close();
  }

  await tree.open();
  const row = person.treeItem(`${home.path}/system`);
  await row.waitFor();
  assert.match((await row.getAttribute("aria-label")) ?? "", /ext4 · .* of .* used/);
  await person.screenshot("tree with mounts");
  const entries = await person.openContextMenu(tree.row(loop));
  assert.ok(!entries.includes("Mount"), "Mount is offered for what is mounted");
  await person.screenshot("menu of a mounted device");
  await person.page.keyboard.press("Escape");
  await person.contextMenu(tree.row(loop), "Unmount and Detach");
  await tree.untilGone(loop);
  assert.equal(loopOf(image), undefined);
  assert.deepEqual(
    LABELS.filter((label) => existsSync(`${home.seen}/${label}`)),
    [],
  );
  assert.equal(inImage(image, 1, "system.txt"), "Edited in VS Code. This is system.\n");
}

errand("two partitions are mounted, a file is edited, all is detached, and the edit is in the image", async () => {
  await editInImage(seat, shop.path("two.img"), { path: "/run/media/root", seen: "/run/media/root" });
});

test("the same by a user who isn't root", async () => {
  using own = new Workshop();
  chmodSync(own.folder, 0o755);
  mkdirSync(own.path("images"));
  const image = twoPartitions(own, "images/mine.img", USER.uid);
  const sudoers = `${USER.name} ALL=(root) NOPASSWD: ALL\n`;
  await using place = await UnprivilegedPlace.open(own.folder, await packaged(), sudoers);
  const at = await takeSeat(place.served, "mount-user", { folder: own.path("images"), viewport: ROOMY });
  const path = `/run/media/${USER.name}`;
  try {
    await at.person.does("edit as a user", () => editInImage(at, image, { path, seen: place.path(path) }));
  } finally {
    await at.browser.close();
    await releaseAllUnder(own.folder);
  }
});

errand("mounted and unmounted one by one in the tree", async (person) => {
  const device = losetup(shop.path("packed.squashfs"));
  await view.open();
  await person.contextMenu(view.row({ device }), "Mount");
  // Somebody else attached it.
  await (await person.dialog(/set up by/)).click("Mount Anyway");
  const [target = ""] = await until("the mount", () => mountsOf(device).length > 0 && mountsOf(device));
  await person.toast(`${basename(device)} is mounted at ${target} (read-only).`);
  await person.treeItem(target).hover();
  await person.treeItem(target).getByRole("button", { name: "Unmount" }).click();
  await person.treeItem(target).waitFor({ state: "detached" });
  assert.ok(!existsSync(target));
  const entries = await person.openContextMenu(view.row({ device }));
  await person.page.keyboard.press("Escape");
  assert.ok(entries.includes("Mount") && !entries.includes("Unmount") && !entries.includes("Open Mounted Folder"));
});

errand("where there is nothing to mount, it is said what is there, and nothing stays attached", async (person) => {
  await person.openView("Explorer");
  await person.contextMenu(person.treeItem("blank.img"), "Attach and Mount");
  const toast = await person.toast("There is nothing to mount on blank.img: it is empty.");
  assert.deepEqual(toast.buttons, ["Attach Only"]);
  await until("nothing stays attached", () => loopOf(shop.path("blank.img")) === undefined);
});

errand("an image is dragged onto the tree", async (person) => {
  await person.openView("Explorer");
  const { page } = person;
  const tab = page.locator(".activitybar").getByRole("tab", { name: /^Diskloom/ });
  const from = await person.treeItem("blank.img").boundingBox();
  const over = await tab.boundingBox();
  assert.ok(from && over);
  await page.mouse.move(from.x + 40, from.y + from.height / 2);
  await page.mouse.down();
  await page.mouse.move(from.x + 50, from.y + from.height / 2 + 5, { steps: 3 });
  // Resting on an icon of the activity bar opens its view.
  const title = page.locator(".sidebar .title-label", { hasText: "Diskloom" });
  await until("the Diskloom view opens", async () => {
    await page.mouse.move(over.x + over.width / 2 + Math.random() * 4, over.y + over.height / 2, { steps: 2 });
    return await title.isVisible();
  });
  const tree = page.locator(".sidebar .pane-body .monaco-list, .sidebar .tree-explorer-viewlet-tree-view").first();
  const to = await tree.boundingBox();
  assert.ok(to);
  await page.mouse.move(to.x + 60, to.y + Math.min(40, to.height - 5), { steps: 5 });
  await page.mouse.move(to.x + 65, to.y + Math.min(42, to.height - 4), { steps: 3 });
  await page.mouse.up();
  const loop = await until("the loop device", () => loopOf(shop.path("blank.img")));
  await view.row(loop).waitFor();
});
