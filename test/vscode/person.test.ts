/* What a person does with the mouse and the keyboard, on the extension as it is shipped. */
import assert from "node:assert/strict";
import { mkdirSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import test, { after, afterEach, before } from "node:test";
import { MiB, run, Workshop } from "../images";
import { DevicesView } from "./devices-view";
import { type Loop, loopOf, loops, loopsUnder, losetup, losetupDetach, mountsOf, releaseAllUnder } from "./loops";
import { helpersUnder } from "./processes";
import { loadServe, packaged, ROOMY, type Seat, type Served, takeSeat } from "./seat";
import { until } from "./until";

const shop = new Workshop();
let served: Served;
let seat: Seat;
let view: DevicesView;

before(async () => {
  shop.fileSystem("ext4", "rootfs");
  shop.fileSystem("squashfs", "readonly");
  for (const name of ["one.img", "two.img", "three.img"]) {
    shop.blank(name, MiB);
  }
  shop.blank("empty.img", 0);
  shop.blank("odd.img", MiB + 100);
  const { serve } = await loadServe();
  served = await serve({
    vsix: [await packaged()],
    // So that a click on a file selects it and does nothing else.
    settings: { "workbench.list.openMode": "doubleClick", "explorer.autoReveal": false },
  });
  seat = await takeSeat(served, "person", { folder: shop.folder, viewport: ROOMY });
  view = new DevicesView(seat.person);
});

afterEach(async () => {
  await releaseAllUnder(shop.folder);
  await seat?.person.dismissToasts();
});

after(async () => {
  await seat?.browser.close();
  await served?.close();
  await releaseAllUnder(shop.folder);
  shop[Symbol.dispose]();
});

/** One errand; where it fails there is a screenshot. */
function errand(title: string, body: (person: Seat["person"]) => Promise<void>): void {
  test(title, () => seat.person.does(title, body));
}

/** Right-clicks a file in the explorer and attaches it. */
async function attachFromExplorer(name: string): Promise<Loop> {
  const { person } = seat;
  await person.openView("Explorer");
  await person.contextMenu(person.treeItem(name), "Attach as Loop Device");
  return attached(name);
}

/** The loop device that an image has got; while it is being made, it would go with its maker. */
function attached(name: string): Promise<Loop> {
  return until(`the loop device of ${name}`, () => {
    const loop = loopOf(shop.path(name));
    return loop?.autoclear === false && loop;
  });
}

errand("without a device, the view says what to do", async () => {
  await view.open();
  // Others may use loop devices on this machine, and begin or end that at any moment: then there is something to show.
  // For its first moments no window is trusted, and the words are others.
  await until("the welcome, or devices of others", async () =>
    loops().length > 0
      ? (await view.names()).length > 0
      : /No disk image is attached\.\s*Attach and Mount Disk Image[\s\S]*Attach Disk Image/.test(
          await view.welcome().innerText({ timeout: 1000 }),
        ),
  );
});

errand("attach from the explorer, flush, detach", async (person) => {
  const loop = await attachFromExplorer("rootfs.ext4");
  const name = basename(loop.device);
  assert.equal(loop.readOnly, false);
  const toast = await person.toast(`rootfs.ext4 is attached as ${name}.`);
  assert.deepEqual(toast.buttons, ["Show Device"]);
  await toast.click("Show Device");
  await view.row(loop).waitFor();
  await until("the selection", async () => (await view.row(loop).getAttribute("aria-selected")) === "true");
  assert.equal(await view.label(loop), `${name}, rootfs.ext4 · 4 MiB · ext4 “Ext Label”`);

  await view.pressInline(loop, "Flush");
  await view.status(new RegExp(`${name} flushed: everything is on the disk`));
  await person.contextMenu(view.row(loop), "Flush");
  assert.deepEqual(loopOf(shop.path("rootfs.ext4")), loop);

  await person.contextMenu(view.row(loop), "Detach");
  await view.untilGone(loop);
  assert.equal(loopOf(shop.path("rootfs.ext4")), undefined);
  await view.status(new RegExp(`${name} \\(rootfs.ext4\\) detached`));
});

errand("hover over a device tells everything", async () => {
  const loop = await attachFromExplorer("readonly.squashfs");
  await view.open();
  const text = await view.tooltip(loop);
  for (const word of [shop.path("readonly.squashfs"), "Sector size", "Access", "squashfs", "Direct I/O", "Autoclear"]) {
    assert.ok(text.includes(word), `${word} is not in: ${text}`);
  }
});

errand("attach, flush and detach from the palette", async (person) => {
  await person.palette("Diskloom: Attach as Loop Device");
  await person.fileDialog("Attach as Loop Device", shop.path("one.img"));
  const loop = await attached("one.img");
  const name = basename(loop.device);
  await person.toast(`one.img is attached as ${name}.`);
  await person.palette("Diskloom: Flush");
  await person.quickPick(name);
  await view.status(new RegExp(`${name} flushed`));
  await person.palette("Diskloom: Detach");
  await person.quickPick(name);
  await view.status(new RegExp(`${name} .*detached`));
  assert.equal(loopOf(shop.path("one.img")), undefined);
});

errand("several images, selected and attached at once", async (person) => {
  await person.openView("Explorer");
  await person.treeItem("one.img").click();
  for (const name of ["two.img", "three.img"]) {
    await person.treeItem(name).click({ modifiers: ["Control"] });
  }
  await person.contextMenu(person.treeItem("two.img"), "Attach as Loop Device");
  await until("three devices", () => loopsUnder(shop.folder).length === 3);
  await view.open();
  await view.untilAgrees(loops);
  await person.toast("3 images are attached: ");
  for (const loop of loopsUnder(shop.folder)) {
    await view.pressInline(loop, "Detach");
    await view.untilGone(loop);
  }
  assert.deepEqual(loopsUnder(shop.folder), []);
});

errand("a tail that can't be reached is named", async (person) => {
  const loop = await attachFromExplorer("odd.img");
  const toast = await person.toast("odd.img is attached as");
  const words = "but its last 100 bytes fill no sector and can't be reached.";
  assert.equal(toast.text, `odd.img is attached as ${basename(loop.device)}, ${words}`);
});

errand("a mounted device: the message names the mount and offers Unmount and Detach", async (person) => {
  const loop = await attachFromExplorer("rootfs.ext4");
  const target = shop.path("mounted here");
  mkdirSync(target, { recursive: true });
  await view.open();
  await view.row(loop).waitFor();
  run("mount", [loop.device, target]);
  // That it is mounted shows by itself, without a click.
  await person.treeItem(target).waitFor();
  await person.palette("Diskloom: Detach");
  await person.quickPick(basename(loop.device));
  const toast = await person.toast("is in use");
  assert.equal(toast.text, `${loop.device} is in use: mounted at ${target}.`);
  assert.deepEqual(toast.buttons, ["Unmount and Detach", "Detach When Free", "Show Users"]);
  await toast.click("Unmount and Detach");
  await view.untilGone(loop);
  assert.deepEqual(mountsOf(loop.device), []);
  assert.equal(loopOf(loop.image), undefined);
  rmSync(target, { recursive: true });
});

errand("somebody else's device is shown, and asked about before it is detached", async (person) => {
  await view.open();
  const image = shop.path("two.img");
  const device = losetup(image);
  await person.contextMenu(view.row({ device }), "Detach");
  const refused = await person.dialog(device);
  assert.match(refused.text, /was set up by the system or another program/);
  assert.deepEqual([...refused.buttons].sort(), ["Cancel", "Detach Anyway"]);
  await refused.click("Cancel");
  assert.equal(loopOf(image)?.device, device);
  await person.contextMenu(view.row({ device }), "Detach");
  await (await person.dialog(device)).click("Detach Anyway");
  await view.untilGone({ device });
  assert.equal(loopOf(image), undefined);
});

errand("an error says why, and Show Log shows more", async (person) => {
  await person.openView("Explorer");
  await person.contextMenu(person.treeItem("empty.img"), "Attach as Loop Device");
  const toast = await person.toast("is empty, so there is nothing to attach.");
  assert.deepEqual(toast.buttons, ["Show Log"]);
  await toast.click("Show Log");
  const output = person.page.locator(".panel .view-lines");
  await output.filter({ hasText: "is empty, so there is nothing to attach" }).waitFor();
  await person.palette("View: Hide Panel");
});

errand("what is done in a terminal shows by itself", async () => {
  await view.open();
  const image = shop.path("three.img");
  const device = losetup(image);
  assert.match(await view.label({ device }), /three\.img · 1 MiB/);
  await losetupDetach({ device, image });
  await view.untilGone({ device });
});

errand("a helper that was killed is replaced; the tree says so until Refresh", async () => {
  const loop = await attachFromExplorer("one.img");
  await view.open();
  await view.row(loop).waitFor();
  const ours = helpersUnder(served.pid);
  assert.equal(ours.length, 1);
  for (const { pid } of ours) {
    process.kill(pid, "SIGKILL");
  }
  await view.message().filter({ hasText: "The helper ended unexpectedly and was started again." }).waitFor();
  await view.row(loop).waitFor();
  await view.pressTitle("Refresh Devices");
  await until("the message to go", async () => !(await view.message().isVisible()));
  await view.pressInline(loop, "Detach");
  await view.untilGone(loop);
});

if (process.env.DISKLOOM_SCREENSHOTS === "1") {
  errand("screenshots for the README", async () => {
    const { takeScreenshots } = await import("./screenshots");
    await takeScreenshots(served, join(process.env.DISKLOOM_ROOT ?? process.cwd(), "media/screenshots"));
  });
}
