/* A folder that the user doesn't trust, and then does: VS Code's restricted mode. */
import assert from "node:assert/strict";
import { basename } from "node:path";
import test, { after, afterEach, before } from "node:test";
import { MiB, Workshop } from "../images";
import { englishManifest } from "../manifest";
import { DevicesView } from "./devices-view";
import { loopOf, loops, losetup, losetupDetach, releaseAllUnder } from "./loops";
import { type Locator, loadServe, packaged, ROOMY, type Seat, type Served, takeSeat } from "./seat";
import { until } from "./until";

interface Contributed {
  title: string;
  enablement: string;
}

const shop = new Workshop();
const manifest: { contributes: { commands: Contributed[] } } = JSON.parse(englishManifest());
/** The titles of the commands that need root. */
const needRoot = manifest.contributes.commands
  .filter(({ enablement }) => enablement.includes("isWorkspaceTrusted"))
  .map(({ title }) => title);
let served: Served;
let seat: Seat;
let view: DevicesView;

before(async () => {
  assert.ok(needRoot.includes("Attach as Loop Device") && needRoot.includes("Detach") && needRoot.includes("Mount"));
  for (const name of ["one.img", "two.img"]) {
    shop.blank(name, MiB);
  }
  const { serve } = await loadServe();
  served = await serve({
    ...(await packaged()),
    workspaceTrust: true,
    settings: {
      "security.workspace.trust.startupPrompt": "never",
      // The editor in which one trusts a folder is to be one among others, not above all.
      "workbench.editor.useModal": "off",
    },
  });
  seat = await takeSeat(served, "untrusted", { folder: shop.folder, viewport: ROOMY });
  view = new DevicesView(seat.person);
});

afterEach(async () => {
  await seat?.person.dismissToasts();
});

after(async () => {
  await seat?.browser.close();
  await served?.close();
  await releaseAllUnder(shop.folder);
  shop[Symbol.dispose]();
});

function errand(title: string, body: (person: Seat["person"]) => Promise<void>): void {
  test(title, () => seat.person.does(title, body));
}

/** The entries of an item's context menu that can be chosen, once this one is among them. */
async function offered(item: Locator, expected: string): Promise<string[]> {
  const { page } = seat.person;
  const menu = page.locator(".monaco-menu .action-item:not(.disabled) .action-label");
  return until(`“${expected}” in a context menu`, async () => {
    await seat.person.openContextMenu(item);
    const entries = (await menu.allInnerTexts()).map((label) => label.trim());
    await page.keyboard.press("Escape");
    return entries.includes(expected) && entries;
  });
}

const PALETTE_PATIENCE = 3000;

/** Our commands in the palette, once this one is among them. */
async function inPalette(expected: string): Promise<string[]> {
  const { page } = seat.person;
  const labels = page.locator(".quick-input-list .monaco-list-row .label-name");
  const commands = await until(`“${expected}” in the palette`, async () => {
    try {
      await page.keyboard.press("F1");
      // A webview that has just opened takes the focus when it is ready, which closes the palette again.
      await page.locator(".quick-input-widget input.input").fill(">Diskloom: ", { timeout: PALETTE_PATIENCE });
      await labels.getByText(`Diskloom: ${expected}`, { exact: true }).waitFor({ timeout: PALETTE_PATIENCE });
      return (await labels.allInnerTexts()).map((label) => label.trim());
    } finally {
      // One that is open learns of no more commands.
      await page.keyboard.press("Escape");
    }
  });
  return commands.map((label) => label.replace(/^Diskloom: /, ""));
}

/** What stands in place of devices; where others have some on this machine, nothing does. */
async function untilWelcome(words: RegExp): Promise<void> {
  await until(`${words} in the view, or devices of others`, async () =>
    loops().length > 0
      ? (await view.names()).length > 0
      : words.test(await view.welcome().innerText({ timeout: 1000 })),
  );
}

/** What the buttons of an image's map say; `undefined` where there is no such map. */
async function buttonsOfMap(name: string): Promise<string[] | undefined> {
  for (const frame of seat.person.page.frames()) {
    // A frame may go away while it is looked at: it is not the one, then.
    const title = await frame.evaluate(() => document.querySelector("#map h1")?.textContent).catch(() => undefined);
    if (title === name) {
      return await frame.locator("button").allInnerTexts();
    }
  }
  return undefined;
}

const ofThose = (titles: string[]) => titles.filter((title) => needRoot.includes(title));

errand("untrusted: neither explorer, palette nor tree offers a command that needs root", async (person) => {
  await person.openView("Explorer");
  assert.deepEqual(ofThose(await offered(person.treeItem("one.img"), "Show Disk Map")), []);
  assert.deepEqual(ofThose(await inPalette("Refresh Devices")), []);
  await view.open();
  await untilWelcome(/To attach one, trust this workspace first\.\s*Manage Workspace Trust/);
  const title = person.page.locator(".sidebar .composite.title .action-item:not(.disabled) .action-label");
  const labels = await title.evaluateAll((found) => found.map((icon) => icon.getAttribute("aria-label") ?? ""));
  assert.deepEqual(ofThose(labels), []);
});

errand("untrusted: devices are shown, to be looked at only", async (person) => {
  const image = shop.path("two.img");
  const device = losetup(image);
  await view.open();
  await view.row({ device }).hover();
  const icons = view.row({ device }).locator(".actions .action-item:not(.disabled) .action-label");
  const labels = await icons.evaluateAll((found) => found.map((icon) => icon.getAttribute("aria-label") ?? ""));
  assert.deepEqual(ofThose(labels), []);
  assert.deepEqual(ofThose(await offered(view.row({ device }), "Copy Path")), []);
  await person.page.keyboard.press("Escape");
  await losetupDetach({ device, image });
  await view.untilGone({ device });
});

errand("the disk map shows an image, but its buttons only once the folder is trusted", async (person) => {
  await person.openView("Explorer");
  await person.contextMenu(person.treeItem("one.img"), "Show Disk Map");
  const untrusted = await until("the map", () => buttonsOfMap("one.img"));
  assert.deepEqual(ofThose(untrusted), []);
  await person.palette("Workspaces: Manage Workspace Trust");
  await person.page.locator(".workspace-trust-editor").getByRole("button", { name: "Trust", exact: true }).click();
  await person.page.locator(".tab").filter({ hasText: "Disk Map: one.img" }).click();
  await until("its button", async () => (await buttonsOfMap("one.img"))?.includes("Attach as Loop Device"));
});

errand("trusted: they are there, and work", async (person) => {
  await person.openView("Explorer");
  const entries = await offered(person.treeItem("one.img"), "Attach as Loop Device");
  assert.deepEqual(ofThose(entries).sort(), ["Attach and Mount", "Attach as Loop Device", "Attach with Options..."]);
  assert.ok((await inPalette("Detach")).includes("Attach and Mount"));
  await view.open();
  await untilWelcome(/No disk image is attached\.\s*Attach and Mount Disk Image/);
  await person.openView("Explorer");
  await person.contextMenu(person.treeItem("one.img"), "Attach as Loop Device");
  const { device } = await until("the loop device", () => loopOf(shop.path("one.img")));
  await person.toast(`one.img is attached as ${basename(device)}.`);
  await view.open();
  await view.pressInline({ device }, "Detach");
  await view.untilGone({ device });
});

/** What the page notes of the view's words, from its first moment on. */
declare global {
  var seenWelcomes: string[];
}

errand("trusted: the view never asks for trust, not even in the first moments of a window", async (person) => {
  const { page } = person;
  await view.open();
  await page.addInitScript(() => {
    globalThis.seenWelcomes = [];
    new MutationObserver(() => {
      for (const welcome of document.querySelectorAll<HTMLElement>(".sidebar .welcome-view-content")) {
        globalThis.seenWelcomes.push(welcome.innerText);
      }
    }).observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
  });
  await page.reload();
  await untilWelcome(/No disk image is attached\.\s*Attach and Mount Disk Image/);
  const seen = await page.evaluate(() => globalThis.seenWelcomes);
  assert.deepEqual(
    seen.filter((words) => /trust this workspace/.test(words)),
    [],
  );
});
