/* What a person does with the mouse and the keyboard, on the extension as it is shipped. */
import assert from "node:assert/strict";
import { mkdirSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { MiB, run } from "../images";
import { type Loop, loopOf, loops, loopsUnder, losetup, losetupDetach, mountsOf } from "./loops";
import { helpersUnder } from "./processes";
import { setStage, WITH_TOOLTIPS } from "./stage";
import { until } from "./until";

const stage = setStage(
  "person",
  (shop) => {
    shop.fileSystem("ext4", "rootfs");
    shop.fileSystem("squashfs", "readonly");
    for (const name of ["one.img", "two.img", "three.img"]) {
      shop.blank(name, MiB);
    }
    shop.blank("empty.img", 0);
    shop.blank("odd.img", MiB + 100);
  },
  // So that a click on a file selects it and does nothing else.
  { settings: { "workbench.list.openMode": "doubleClick", "explorer.autoReveal": false, ...WITH_TOOLTIPS } },
);
const { shop, errand } = stage;

/** Right-clicks a file in the explorer and attaches it. */
async function attachFromExplorer(name: string): Promise<Loop> {
  const { person } = stage.seat;
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
  await stage.view.open();
  // Others may use loop devices on this machine, and begin or end that at any moment: then there is something to show.
  await until("the welcome, or devices of others", async () =>
    loops().length > 0
      ? (await stage.view.names()).length > 0
      : /No disk image is attached\.\s*Attach and Mount Disk Image[\s\S]*Attach Disk Image/.test(
          await stage.view.welcome().innerText({ timeout: 1000 }),
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
  await stage.view.row(loop).waitFor();
  await until("the selection", async () => (await stage.view.row(loop).getAttribute("aria-selected")) === "true");
  await stage.view.untilLabelled(loop, new RegExp(`^${name}, rootfs\\.ext4 · 4 MiB · ext4 “Ext Label”$`));

  await stage.view.pressInline(loop, "Flush");
  await stage.view.status(new RegExp(`${name} flushed: everything is on the disk`));
  await person.contextMenu(stage.view.row(loop), "Flush");
  assert.deepEqual(loopOf(shop.path("rootfs.ext4")), loop);

  await person.contextMenu(stage.view.row(loop), "Detach");
  await stage.view.untilGone(loop);
  assert.equal(loopOf(shop.path("rootfs.ext4")), undefined);
  await stage.view.status(new RegExp(`${name} \\(rootfs.ext4\\) detached`));
});

errand("hover over a device tells everything", async () => {
  const loop = await attachFromExplorer("readonly.squashfs");
  await stage.view.open();
  const text = await stage.view.tooltip(loop);
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
  await stage.view.status(new RegExp(`${name} flushed`));
  await person.palette("Diskloom: Detach");
  await person.quickPick(name);
  await stage.view.status(new RegExp(`${name} .*detached`));
  assert.equal(loopOf(shop.path("one.img")), undefined);
});

errand("several images, selected and attached at once", async (person) => {
  await person.openView("Explorer");
  await person.select(["one.img", "two.img", "three.img"].map((name) => person.treeItem(name)));
  await person.contextMenu(person.treeItem("two.img"), "Attach as Loop Device");
  await until("three devices", () => loopsUnder(shop.folder).length === 3);
  await stage.view.open();
  await stage.view.untilAgrees(loops);
  await person.toast("3 images are attached: ");
  for (const loop of loopsUnder(shop.folder)) {
    await stage.view.pressInline(loop, "Detach");
    await stage.view.untilGone(loop);
  }
  assert.deepEqual(loopsUnder(shop.folder), []);
});

errand("a tail that can't be reached is named", async (person) => {
  const loop = await attachFromExplorer("odd.img");
  const toast = await person.toast("odd.img is attached as");
  const words = "Its last 100 bytes fill no sector and can't be reached.";
  assert.equal(toast.text, `odd.img is attached as ${basename(loop.device)}. ${words}`);
});

errand("a mounted device: the message names the mount and offers Unmount and Detach", async (person) => {
  const loop = await attachFromExplorer("rootfs.ext4");
  const target = shop.path("mounted here");
  mkdirSync(target, { recursive: true });
  await stage.view.open();
  await stage.view.row(loop).waitFor();
  run("mount", [loop.device, target]);
  // That it is mounted shows by itself, without a click.
  await person.treeItem(target).waitFor();
  await person.palette("Diskloom: Detach");
  await person.quickPick(basename(loop.device));
  const toast = await person.toast("is in use");
  assert.equal(toast.text, `${loop.device} is in use: mounted at ${target}.`);
  assert.deepEqual(toast.buttons, ["Unmount and Detach", "Detach When Free", "Show Users"]);
  await toast.click("Unmount and Detach");
  await stage.view.untilGone(loop);
  assert.deepEqual(mountsOf(loop.device), []);
  assert.equal(loopOf(loop.image), undefined);
  rmSync(target, { recursive: true });
});

errand("somebody else's device is shown, and asked about before it is detached", async (person) => {
  await stage.view.open();
  const image = shop.path("two.img");
  const device = losetup(image);
  await person.contextMenu(stage.view.row({ device }), "Detach");
  const refused = await person.dialog(device);
  assert.match(refused.text, /was set up by the system or another program, not by Diskloom\. Detach it anyway\?/);
  assert.deepEqual([...refused.buttons].sort(), ["Cancel", "Detach Anyway"]);
  await refused.click("Cancel");
  assert.equal(loopOf(image)?.device, device);
  await person.contextMenu(stage.view.row({ device }), "Detach");
  await (await person.dialog(device)).click("Detach Anyway");
  await stage.view.untilGone({ device });
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
  await stage.view.open();
  const image = shop.path("three.img");
  const device = losetup(image);
  await stage.view.untilLabelled({ device }, /three\.img · 1 MiB/);
  await losetupDetach({ device, image });
  await stage.view.untilGone({ device });
});

errand("a helper that was killed is replaced; the tree says so until Refresh", async () => {
  const loop = await attachFromExplorer("one.img");
  await stage.view.open();
  await stage.view.row(loop).waitFor();
  const ours = helpersUnder(stage.served.pid);
  assert.equal(ours.length, 1);
  for (const { pid } of ours) {
    process.kill(pid, "SIGKILL");
  }
  await stage.view.message().filter({ hasText: "The helper ended unexpectedly and was started again." }).waitFor();
  await stage.view.row(loop).waitFor();
  await stage.view.pressTitle("Refresh Devices");
  await until("the message to go", async () => !(await stage.view.message().isVisible()));
  await stage.view.pressInline(loop, "Detach");
  await stage.view.untilGone(loop);
});

if (process.env.DISKLOOM_SCREENSHOTS === "1") {
  errand("screenshots for the README", async () => {
    const { takeScreenshots } = await import("./screenshots");
    await takeScreenshots(stage.served, join(process.env.DISKLOOM_ROOT ?? process.cwd(), "media/screenshots"));
  });
}
