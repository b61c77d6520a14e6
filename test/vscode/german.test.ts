/* A VS Code in German: the extension says everything in German, from the palette to the disk map's page. */
import assert from "node:assert/strict";
import { basename } from "node:path";
import test, { after, before } from "node:test";
import { KiB, Workshop } from "../images";
import { DevicesView } from "./devices-view";
import { installLanguagePack } from "./language-pack";
import { loopOf, loops, releaseAllUnder } from "./loops";
import { loadServe, type Person, packaged, ROOMY, type Seat, type Served, takeSeat } from "./seat";
import { until } from "./until";

const shop = new Workshop();
const elsewhere = new Workshop();
let served: Served;
let seat: Seat;
let view: DevicesView;

before(async () => {
  shop.blank("eins.img", 1536 * KiB);
  const userData = elsewhere.path("user-data");
  installLanguagePack(userData, "de");
  const { serve } = await loadServe();
  served = await serve({
    ...(await packaged()),
    userDataFolder: userData,
    args: ["--locale", "de"],
    settings: { "workbench.list.openMode": "doubleClick", "explorer.autoReveal": false },
  });
  seat = await takeSeat(served, "german", { folder: shop.folder, viewport: ROOMY });
  view = new DevicesView(seat.person);
});

after(async () => {
  await seat?.browser.close();
  await served?.close();
  await releaseAllUnder(shop.folder);
  shop[Symbol.dispose]();
  elsewhere[Symbol.dispose]();
});

function errand(title: string, body: (person: Person) => Promise<void>): void {
  test(title, () => seat.person.does(title, body));
}

errand("without a device, the view says in German what to do", async () => {
  await view.open();
  // Others may use loop devices on this machine, and begin or end that at any moment: then there is something to show.
  await until("the welcome, or devices of others", async () =>
    loops().length > 0
      ? (await view.names()).length > 0
      : /Es ist kein Datenträgerabbild angehängt\.\s*Datenträgerabbild anhängen und einhängen/.test(
          await view.welcome().innerText({ timeout: 1000 }),
        ),
  );
});

errand("the palette has the commands in German", async ({ page }) => {
  await page.keyboard.press("F1");
  await page.locator(".quick-input-widget input.input").fill(">Als Loop-Gerät anhängen");
  const rows = page.locator(".quick-input-widget .monaco-list-row");
  await rows.filter({ hasText: "Diskloom: Als Loop-Gerät anhängen" }).first().waitFor();
  await page.keyboard.press("Escape");
});

errand("attaching is told in German", async (person) => {
  await person.openView("Explorer");
  await person.contextMenu(person.treeItem("eins.img"), "Als Loop-Gerät anhängen");
  const { device } = await until("the loop device", () => {
    const loop = loopOf(shop.path("eins.img"));
    return loop?.autoclear === false && loop;
  });
  const toast = await person.toast("eins.img ist als");
  assert.match(toast.text, new RegExp(`eins\\.img ist als ${basename(device)} angehängt\\.`));
  assert.deepEqual(toast.buttons, ["Gerät anzeigen"]);
  await person.dismissToasts();
  await view.open();
  await view.untilLabelled({ device, image: "eins.img" }, /eins\.img · 1,5 MiB/);
});

errand("the disk map's page is in German", async (person) => {
  await person.openView("Explorer");
  await person.contextMenu(person.treeItem("eins.img"), "Datenträgerkarte anzeigen");
  const said = await until("the disk map", async () => {
    for (const frame of person.page.frames()) {
      // A frame may go away while it is looked at: it is not the one, then.
      const text = await frame.evaluate(() => document.querySelector("#map table")?.textContent).catch(() => undefined);
      if (text) {
        return { text, language: await frame.evaluate(() => document.documentElement.lang) };
      }
    }
    return undefined;
  });
  assert.equal(said.language, "de");
  for (const word of ["Segment", "Inhalt", "Größe", "1,5 MiB"]) {
    assert.ok(said.text.includes(word), `no “${word}” in: ${said.text}`);
  }
});
