/* Mounting as a person does it: at once with attaching, one by one in the tree, and what else brings an image there. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { basename } from "node:path";
import { MiB } from "../images";
import { type Disk, editInImage, twoPartitions } from "./edit";
import { loopOf, losetup, mountsOf } from "./loops";
import { setStage } from "./stage";
import { until } from "./until";

let two: Disk;
const stage = setStage("mount", (shop) => {
  two = twoPartitions(shop, "two.img");
  shop.blank("blank.img", MiB);
  shop.fileSystem("squashfs", "packed");
});
const { shop, errand } = stage;

errand("two partitions are mounted, a file is edited, all is detached, and the edit is in the image", async () => {
  await editInImage(stage.seat, two, { path: "/run/media/root", seen: "/run/media/root" });
});

errand("mounted and unmounted one by one in the tree", async (person) => {
  const image = shop.path("packed.squashfs");
  const device = losetup(image);
  await stage.view.open();
  await person.contextMenu(stage.view.row({ device, image }), "Mount");
  // Somebody else attached it.
  await (await person.dialog(/set up by/)).click("Mount Anyway");
  const [target = ""] = await until("the mount", () => mountsOf(device).length > 0 && mountsOf(device));
  await person.toast(`${basename(device)} is mounted at ${target} (read-only).`);
  await stage.view.pressOn(person.treeItem(target), "Unmount");
  await person.treeItem(target).waitFor({ state: "detached" });
  assert.ok(!existsSync(target));
  const entries = await person.openContextMenu(stage.view.row({ device, image }));
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
  // VS Code takes nothing that is dropped on what it shows in place of an empty tree.
  const device = losetup(shop.path("packed.squashfs"));
  await stage.view.open();
  await stage.view.row({ device }).waitFor();
  await person.openView("Explorer");
  await person.restPointer();
  const { page } = person;
  const tab = page.locator(".activitybar").getByRole("tab", { name: /^Diskloom/ });
  const from = await person.treeItem("blank.img").boundingBox();
  const over = await tab.boundingBox();
  assert.ok(from && over);
  await person.treeItem("blank.img").hover({ position: { x: 40, y: from.height / 2 } });
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
  // What is dropped before the tree has said that it takes it is lost.
  await until("the tree takes it", async () => {
    await page.mouse.move(to.x + 60 + Math.random() * 10, to.y + Math.min(40, to.height - 5), { steps: 3 });
    return (await page.locator(".sidebar .drop-target").count()) > 0;
  });
  await page.mouse.up();
  const loop = await until("the loop device", () => loopOf(shop.path("blank.img")));
  await stage.view.row(loop).waitFor();
});
