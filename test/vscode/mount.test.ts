/* From an image to its files and back, as a person does it: attach and mount, edit, unmount and detach. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import test, { after, afterEach, before } from "node:test";
import { MiB, run, Workshop } from "../images";
import { DevicesView } from "./devices-view";
import { loopOf, loopsUnder, losetup, mountsOf, releaseAllUnder } from "./loops";
import { type Browser, loadServe, type Person, packaged, ROOMY, type Seat, type Served, takeSeat } from "./seat";
import { until } from "./until";

const START = [2048, 20480] as const;
const LABELS = ["config", "system"] as const;

const shop = new Workshop();
let served: Served;
let seat: Seat;
let view: DevicesView;

before(async () => {
  twoPartitions();
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

/** two.img: ext4 twice, as the kernel of a container has no vfat. */
function twoPartitions(): void {
  const disk = shop.disk(
    "two.img",
    20 * MiB,
    `label: gpt\n${START.map((start) => `start=${start}, size=8M\n`).join("")}`,
  );
  for (const [index, label] of LABELS.entries()) {
    const part = shop.path(`${label}.part`);
    shop.blank(`${label}.part`, 8 * MiB);
    const files = shop.path(label);
    run("mkdir", [files]);
    writeFileSync(`${files}/${label}.txt`, `This is ${label}.\n`);
    run("mkfs.ext4", ["-q", "-F", "-L", label, "-d", files, part]);
    shop.put(disk, (START[index] ?? 0) * 512, part);
    run("rm", ["-r", files, part]);
  }
}

function errand(title: string, body: (person: Person) => Promise<void>): void {
  test(title, () => seat.person.does(title, body));
}

/** A file as it is in one of the partitions of two.img, without any device. */
function inImage(partition: 0 | 1, file: string): string {
  // Not beside the images: a row that comes or goes in the explorer moves those that are about to be clicked.
  using scratch = new Workshop();
  const part = scratch.path("part");
  run("dd", [
    `if=${shop.path("two.img")}`,
    `of=${part}`,
    "bs=512",
    `skip=${START[partition]}`,
    "count=16384",
    "status=none",
  ]);
  return run("debugfs", ["-R", `cat ${file}`, part]);
}

/** The window that something opens. */
async function newWindow({ context }: Browser, open: () => Promise<void>): Promise<Person> {
  const [page] = await Promise.all([context.waitForEvent("page"), open()]);
  await page.waitForSelector(".monaco-workbench");
  const { Person } = await import("./host/person.mjs");
  return new Person(page);
}

errand(
  "two partitions: attached and mounted, a file edited, unmounted and detached, and the edit is in the image",
  async (person) => {
    await person.openView("Explorer");
    await person.contextMenu(person.treeItem("two.img"), "Attach and Mount");
    const toast = await person.toast("two.img is mounted at ");
    assert.deepEqual(toast.buttons, ["Open Folder", "Show Device"]);
    const loop = await until("the loop device", () => loopOf(shop.path("two.img")));
    const targets = ["p1", "p2"].flatMap((part) => mountsOf(`${loop.device}${part}`));
    assert.deepEqual(
      targets.map((target) => basename(target)),
      [...LABELS],
    );
    await person.screenshot("attached and mounted");

    const inside = await newWindow(seat.browser, async () => {
      await toast.click("Open Folder");
      await person.quickPick("system");
    });
    try {
      await inside.treeItem("system.txt").dblclick();
      await inside.page.locator(".monaco-editor .view-lines", { hasText: "This" }).click();
      await inside.page.keyboard.press("Control+Home");
      await inside.page.keyboard.type("Edited in VS Code. ");
      await inside.page.keyboard.press("Control+S");
      await until("the file is saved", () => readFileSync(`${targets[1]}/system.txt`, "utf8").startsWith("Edited"));
    } finally {
      await inside.page.close();
    }

    await view.open();
    await person.treeItem(targets[1] ?? "").waitFor();
    assert.match((await person.treeItem(targets[1] ?? "").getAttribute("aria-label")) ?? "", /ext4 · .* of .* used/);
    await person.screenshot("tree with mounts");
    assert.ok(
      !(await person.openContextMenu(view.row(loop))).includes("Mount"),
      "Mount is offered for what is mounted",
    );
    await person.screenshot("menu of a mounted device");
    await person.page.keyboard.press("Escape");
    await person.contextMenu(view.row(loop), "Unmount and Detach");
    await view.untilGone(loop);
    assert.equal(loopOf(shop.path("two.img")), undefined);
    assert.deepEqual(
      targets.filter((target) => existsSync(target)),
      [],
    );
    assert.equal(inImage(1, "system.txt"), "Edited in VS Code. This is system.\n");
  },
);

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
