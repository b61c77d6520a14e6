/*
 * Somebody who has never seen Diskloom and reads nothing: from an image in the explorer to its files, a change, a flush and
 * a detach, by what is there to be clicked. Each step leaves a picture in test/vscode/shots/first-time and, with
 * DISKLOOM_SCREENSHOTS=1, in media/screenshots.
 */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import test from "node:test";
import { root } from "../helper";
import { MiB, run, Workshop } from "../images";
import { englishManifest } from "../manifest";
import { loopOf, loops, mountsOf } from "./loops";
import { mapFrame } from "./map-frame";
import { newWindow, type Person } from "./seat";
import { setStage } from "./stage";
import { until } from "./until";

const IMAGE = "raspberry.img";
const LABEL = "firsttime";

let image: string;
let pictures = 0;
const stage = setStage(
  "first-time",
  (shop) => {
    image = makeImage(shop);
  },
  { viewport: { width: 1100, height: 700 } },
);

/** As for a small computer: a boot partition and one with its system. */
function makeImage(shop: Workshop): string {
  const disk = shop.disk(IMAGE, 40 * MiB, "label: gpt\nstart=1MiB, size=8MiB, name=boot\nstart=9MiB, size=24MiB\n");
  using scratch = new Workshop();
  for (const [label, file, text, start, size] of [
    ["boot", "config.txt", "arm_64bit=1\n", 1, 8],
    [LABEL, "hostname", "raspberry\n", 9, 24],
  ] as const) {
    mkdirSync(scratch.path(label));
    writeFileSync(scratch.path(`${label}/${file}`), text);
    const part = scratch.blank(`${label}.part`, size * MiB);
    run("mkfs.ext4", ["-q", "-F", "-L", label, "-d", scratch.path(label), part]);
    shop.put(disk, start * MiB, part);
  }
  return disk;
}

/** The file as it is in the image, without any device. */
function inImage(): string {
  using scratch = new Workshop();
  const part = scratch.path("part");
  run("dd", [`if=${image}`, `of=${part}`, "bs=1M", "skip=9", "count=24", "status=none"]);
  return run("debugfs", ["-R", "cat hostname", part]);
}

/** What the status bar says of attached images. */
const status = ({ page }: Person) => page.locator(".statusbar .statusbar-item", { hasText: /^\s*\d+ images?\s*$/ });

const THEMES = [
  ["dark", ".monaco-workbench.vs-dark", { colorScheme: "dark", forcedColors: "none" }],
  ["light", ".monaco-workbench.vs", { colorScheme: "light", forcedColors: "none" }],
  ["high-contrast", ".monaco-workbench.hc-black", { colorScheme: "dark", forcedColors: "active" }],
] as const;

/** In all three kinds of theme; only the dark one is kept in the checkout. */
async function picture({ page }: Person, name: string): Promise<void> {
  const number = ++pictures;
  for (const [theme, selector, media] of [...THEMES.slice(1), THEMES[0]]) {
    await page.emulateMedia(media);
    await page.locator(selector).waitFor();
    const shots = join(root, "test/vscode/shots/first-time");
    mkdirSync(shots, { recursive: true });
    await page.screenshot({ path: join(shots, `${number}-${name}-${theme}.png`), animations: "disabled" });
  }
  if (process.env.DISKLOOM_SCREENSHOTS === "1") {
    const path = join(root, "media/screenshots", `first-time-${number}-${name}.png`);
    await page.screenshot({ path, animations: "disabled" });
  }
}

test("an image is looked into, changed, flushed and let go of, without reading anything", async () => {
  await stage.seat.person.does("the first minutes", async (person) => {
    const { seat, view } = stage;
    // A window that opens for the first time knows nothing of its extensions for a while.
    await person.page
      .locator(".activitybar")
      .getByRole("tab", { name: /^Diskloom/ })
      .waitFor();
    await person.openView("Explorer");
    // What is in the image, and what can be done with it.
    await person.contextMenu(person.treeItem(IMAGE), "Show Disk Map");
    const map = await mapFrame(person, IMAGE);
    await picture(person, "disk-map");
    await map.getByRole("button", { name: "Attach and Mount" }).click();
    const toast = await person.toast(`${IMAGE} is mounted at`);
    const loop = await until("the device", () => loopOf(image));
    const [folder = ""] = mountsOf(`${loop.device}p2`);
    await status(person).waitFor();
    await picture(person, "mounted");

    const inside = await newWindow(seat.browser, async () => {
      await toast.click("Open Folder");
      await person.quickPick(basename(folder));
    });
    try {
      await inside.treeItem("hostname").dblclick();
      await inside.page.locator(".monaco-editor .view-lines", { hasText: "raspberry" }).click();
      await inside.page.keyboard.press("Control+Home");
      await inside.page.keyboard.type("my-");
      await inside.page.keyboard.press("Control+S");
      await until("the file is saved", () => readFileSync(join(folder, "hostname"), "utf8") === "my-raspberry\n");
      await picture(inside, "a-file-of-the-image");
    } finally {
      await inside.page.close();
    }

    // What is in the status bar leads to the devices.
    await status(person).click();
    await view.row(loop).waitFor();
    await view.pressInline(loop, "Flush");
    await view.status(/flushed: everything is on the disk/);
    assert.equal(inImage(), "my-raspberry\n");
    await view.row(loop).hover();
    await picture(person, "devices");
    await view.pressInline(loop, "Unmount and Detach");
    await view.untilGone(loop);
    assert.equal(loopOf(image), undefined);
    assert.equal(inImage(), "my-raspberry\n");
    // Other tests on this machine may have images attached as this same user.
    await until("an empty status bar", async () => loops().length > 0 || (await status(person).count()) === 0);
    await picture(person, "detached");
  });
});

test("the walkthrough has a picture for each step, and its links lead somewhere", async () => {
  await stage.seat.person.does("the walkthrough", async (person) => {
    await person.dismissToasts();
    // In a narrow one there is no room for pictures.
    await person.page.setViewportSize({ width: 1500, height: 900 });
    await person.palette("Welcome: Open Walkthrough...");
    await person.quickPick("Look into a Disk Image");
    const steps = person.page.locator(".getting-started-step");
    await steps.first().waitFor();
    const titles = await steps.locator(".step-title").allInnerTexts();
    assert.equal(titles.length, 6);
    for (const title of titles) {
      await steps.filter({ hasText: title }).first().click();
      const drawn = person.page
        .frameLocator("iframe.webview.ready")
        .frameLocator("#active-frame")
        .locator("svg")
        .first();
      await drawn.waitFor();
    }
    await steps.first().click();
    await picture(person, "walkthrough");
  });
});

test("its pictures are there", () => {
  const { contributes } = JSON.parse(englishManifest());
  const commands: string[] = contributes.commands.map(({ command }: { command: string }) => command);
  for (const { description, media } of contributes.walkthroughs[0].steps) {
    assert.match(readFileSync(join(root, media.svg), "utf8"), /^<svg /);
    for (const [, command = ""] of description.matchAll(/\(command:(diskloom\.[\w.]+)/g)) {
      assert.ok(commands.includes(command) || command === "diskloom.devices.focus", command);
    }
  }
});
