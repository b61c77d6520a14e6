/*
 * Several devices at once: selected in the tree, or all that one has attached. By a user of a machine of their own, so
 * that what others have attached here is never theirs.
 */
import assert from "node:assert/strict";
import { chmodSync, chownSync, mkdirSync } from "node:fs";
import { basename } from "node:path";
import test, { after, afterEach, before } from "node:test";
import { MiB, Workshop } from "../images";
import { clipboard } from "./clipboard";
import { DevicesView } from "./devices-view";
import { type Loop, loopOf, loopsUnder, losetup, losetupDetach, releaseAllUnder } from "./loops";
import { type Person, packaged, ROOMY, type Seat, takeSeat } from "./seat";
import { UnprivilegedPlace, USER } from "./unprivileged-place";
import { until } from "./until";

const shop = new Workshop();
const pathOf = (name: string) => shop.path(`images/${name}`);
let place: UnprivilegedPlace;
let seat: Seat;
let view: DevicesView;

before(async () => {
  chmodSync(shop.folder, 0o755);
  mkdirSync(shop.path("images"));
  for (const name of ["one", "two", "three", "outside"]) {
    shop.blank(`images/${name}.img`, MiB);
  }
  shop.fileSystem("ext4", "images/rootfs");
  shop.fileSystem("squashfs", "images/packed");
  for (const name of ["one.img", "two.img", "three.img", "rootfs.ext4", "packed.squashfs"]) {
    chownSync(pathOf(name), USER.uid, USER.uid);
  }
  const sudoers = `${USER.name} ALL=(root) NOPASSWD: ALL\n`;
  place = await UnprivilegedPlace.open(shop.folder, await packaged(), sudoers);
  // A click opens no editor, and an editor that opens late takes no selection away.
  await place.configure({ "workbench.list.openMode": "doubleClick", "explorer.autoReveal": false });
  seat = await takeSeat(place.served, "several", { folder: shop.path("images"), viewport: ROOMY });
  view = new DevicesView(seat.person);
});

afterEach(async () => {
  await seat?.person.dismissToasts().catch(() => {});
  // What a failed test has left; it may be mounted where only its user sees it.
  for (const { device } of loopsUnder(shop.folder)) {
    place.run(`umount --quiet ${device}; losetup --detach ${device}`);
  }
});

after(async () => {
  await seat?.browser.close();
  await place?.[Symbol.asyncDispose]();
  await releaseAllUnder(shop.folder);
  shop[Symbol.dispose]();
});

function errand(title: string, body: (person: Person) => Promise<void>): void {
  test(title, () => seat.person.does(title, body));
}

const menuEntries = ({ page }: Person) => page.locator(".monaco-menu .action-menu-item .action-label");

/** Opens the menu of what is selected, by the keyboard: the mouse would miss a row that moves. */
async function openMenu(person: Person): Promise<string[]> {
  await until("the menu", async () => {
    await person.page.keyboard.press("Shift+F10");
    await menuEntries(person).first().waitFor({ timeout: 2000 });
    return true;
  });
  return (await menuEntries(person).allInnerTexts()).map((label) => label.trim());
}

async function onSelected(person: Person, entry: string): Promise<void> {
  await openMenu(person);
  await person.choose(entry);
}

/** Chooses from the explorer's menu of several images, and shows their devices. */
async function attach(person: Person, names: string[], entry = "Attach as Loop Device"): Promise<Loop[]> {
  await person.openView("Explorer");
  const files = names.map((name) => person.treeItem(name));
  await person.select(files);
  await person.contextMenu(person.treeItem(names[0] ?? ""), entry);
  const loops: Loop[] = [];
  for (const name of names) {
    loops.push(
      await until(`the loop device of ${name}`, () => {
        const loop = loopOf(pathOf(name));
        return loop?.autoclear === false && loop;
      }),
    );
  }
  await person.toast(entry === "Attach and Mount" ? / mounted( at|: )/ : /attached(:| as) /);
  await person.dismissToasts();
  await view.open();
  for (const loop of loops) {
    await view.row(loop).waitFor();
  }
  return loops;
}

const rowsOf = (loops: Loop[]) => loops.map((loop) => view.row(loop));
const namesOf = (loops: Loop[]) => loops.map(({ device }) => basename(device));
const toasts = ({ page }: Person) => page.locator(".notifications-toasts .notification-toast").count();

errand("what is selected is copied, flushed and detached at once, with one message", async (person) => {
  const loops = await attach(person, ["one.img", "two.img", "three.img"]);
  await person.select(rowsOf(loops));
  const entries = await openMenu(person);
  await person.page.keyboard.press("Escape");
  for (const [entry, isThere] of [
    ["Copy Path", true],
    ["Flush", true],
    ["Detach", true],
    ["Properties", false],
    ["Show Disk Map", false],
    ["Resize to Image", false],
  ] as const) {
    assert.equal(entries.includes(entry), isThere, `${entry} among ${entries.join(", ")}`);
  }

  await onSelected(person, "Copy Path");
  const paths = loops.map(({ device }) => device);
  await until("the paths", async () => (await clipboard(person)).split("\n").sort().join() === paths.sort().join());

  await onSelected(person, "Flush");
  const flushed = await person.toast("3 devices are flushed, and everything is on the disk: ");
  for (const name of namesOf(loops)) {
    assert.match(flushed.text, new RegExp(`\\b${name}\\b`));
  }
  await person.dismissToasts();

  await person.select(rowsOf(loops));
  await onSelected(person, "Detach");
  const detached = await person.toast("3 devices are detached: ");
  for (const { device, image } of loops) {
    assert.ok(detached.text.includes(`${basename(device)} (${basename(image)})`), detached.text);
  }
  // What takes longer than a second is told of while it takes, and that goes when this comes.
  await until("one message alone", async () => (await toasts(person)) === 1);
  assert.deepEqual(loopsUnder(shop.folder), []);
});

errand("one of them that is in use is named, stays, and there are ways on", async (person) => {
  const [mounted] = await attach(person, ["rootfs.ext4"], "Attach and Mount");
  const [free] = await attach(person, ["one.img"]);
  assert.ok(mounted && free);
  await person.select([view.row(free), view.row(mounted)]);
  const entries = await openMenu(person);
  await person.page.keyboard.press("Escape");
  assert.ok(!entries.includes("Detach") && entries.includes("Unmount and Detach"), entries.join(", "));
  await view.pressInline(free, "Detach");
  const toast = await person.toast("1 of 2 devices are detached: ");
  const why = `${mounted.device} is in use: mounted at /run/media/${USER.name}/Ext Label.`;
  assert.equal(toast.text, `1 of 2 devices are detached: ${basename(free.device)} (one.img). ${why}`);
  assert.deepEqual(toast.buttons, ["Unmount and Detach", "Detach When Free", "Show Log"]);
  assert.deepEqual(loopsUnder(shop.folder), [mounted]);
  await toast.click("Unmount and Detach");
  await person.toast(`Detached: ${basename(mounted.device)} (rootfs.ext4).`);
  assert.deepEqual(loopsUnder(shop.folder), []);
});

errand("several mounts are unmounted at once", async (person) => {
  const loops = await attach(person, ["rootfs.ext4", "packed.squashfs"], "Attach and Mount");
  // What has no label and no UUID is mounted by its device's name.
  const [, unnamed = ""] = namesOf(loops);
  const targets = ["Ext Label", unnamed].map((name) => `/run/media/${USER.name}/${name}`);
  const rows = targets.map((target) => person.treeItem(target));
  await person.select(rows);
  await onSelected(person, "Unmount");
  const toast = await person.toast("2 are unmounted: ");
  for (const target of targets) {
    assert.ok(toast.text.includes(target), toast.text);
    await person.treeItem(target).waitFor({ state: "detached" });
  }
  await person.dismissToasts();
  await person.select(rowsOf(loops));
  await view.pressInline(loops[0] ?? assert.fail(), "Detach");
  await person.toast("2 devices are detached: ");
});

errand("of somebody else's it is asked once, and they stay without a yes", async (person) => {
  const [mine] = await attach(person, ["one.img"]);
  const others = ["outside.img", "two.img"].map((name) => ({ device: losetup(pathOf(name)), image: pathOf(name) }));
  assert.ok(mine);
  try {
    const rows = [mine, ...others].map((loop) => view.row(loop));
    for (const row of rows) {
      await row.waitFor();
    }
    await person.select(rows);
    await onSelected(person, "Detach");
    const asked = await person.dialog("Some of these devices weren't set up by you. Detach them anyway?");
    for (const { device } of others) {
      assert.ok(asked.text.includes(`${device} was set up by the system or another program`), asked.text);
    }
    await asked.click("Cancel");
    await person.toast(`Detached: ${basename(mine.device)} (one.img).`);
    assert.equal(loopsUnder(shop.folder).length, 2);
    await person.dismissToasts();

    await person.select(rows.slice(1));
    await onSelected(person, "Detach");
    const again = await person.dialog("Some of these devices");
    // A yes may be said of ours only.
    const named = [...again.text.matchAll(/\/dev\/loop\d+/g)].map(([device]) => device);
    assert.deepEqual(named.sort(), others.map(({ device }) => device).sort());
    await again.click("Detach Anyway");
    await person.toast("2 devices are detached: ");
    assert.deepEqual(loopsUnder(shop.folder), []);
  } finally {
    for (const loop of others.filter(({ image }) => loopOf(image))) {
      await losetupDetach(loop);
    }
  }
});

errand("Detach All of Mine: asked once, with what is mounted of them; nobody else's is touched", async (person) => {
  const [rootfs] = await attach(person, ["rootfs.ext4"], "Attach and Mount");
  const [one] = await attach(person, ["one.img"]);
  const outside = { device: losetup(pathOf("outside.img")), image: pathOf("outside.img") };
  assert.ok(rootfs && one);
  try {
    await view.row(outside).waitFor();
    await person.palette("Diskloom: Detach All of Mine");
    const asked = await person.dialog("Detach the 2 images that you have attached?");
    assert.ok(asked.text.includes(`${basename(one.device)}: ${one.image}`), asked.text);
    const mounted = `${rootfs.image} (mounted at /run/media/${USER.name}/Ext Label)`;
    assert.ok(asked.text.includes(mounted), asked.text);
    assert.ok(!asked.text.includes("outside.img"), asked.text);
    await asked.click("Cancel");
    assert.equal(loopsUnder(shop.folder).length, 3);

    await view.pressTitle("Views and More Actions...");
    await person.choose("Detach All of Mine");
    await (await person.dialog("Detach the 2 images")).click("Unmount and Detach");
    const toast = await person.toast("2 devices are detached: ");
    assert.match(toast.text, /rootfs\.ext4/);
    assert.match(toast.text, /one\.img/);
    assert.deepEqual(
      loopsUnder(shop.folder).map(({ device }) => device),
      [outside.device],
    );
    await person.dismissToasts();
    await person.palette("Diskloom: Detach All of Mine");
    await person.toast("You have attached no disk image.");
  } finally {
    await losetupDetach(outside);
  }
});
