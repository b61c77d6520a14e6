/* Where VS Code is root already, an installed helper does what needs root all the same. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import test, { after, afterEach, before } from "node:test";
import { MiB, Workshop } from "../images";
import { DevicesView } from "./devices-view";
import { loopOf, loopsUnder, releaseAllUnder } from "./loops";
import { packaged, ROOMY, type Seat, takeSeat } from "./seat";
import { UnprivilegedPlace } from "./unprivileged-place";
import { until } from "./until";

const BASE = "/usr/local/lib/diskloom";
const INSTALLED = join(BASE, DISKLOOM_VERSION, "helper.js");

const shop = new Workshop();
let place: UnprivilegedPlace;
let seat: Seat;
const image = shop.path("images/one.img");

before(async () => {
  mkdirSync(shop.path("images"));
  shop.blank("images/one.img", MiB);
  place = await UnprivilegedPlace.open(shop.folder, await packaged(), "", { name: "diskloom-root", uid: 0 });
  seat = await takeSeat(place.served, "installed-root", { folder: shop.path("images"), viewport: ROOMY });
});

afterEach(async () => {
  await releaseAllUnder(shop.folder);
  await seat?.person.dismissToasts().catch(() => {});
});

after(async () => {
  await seat?.browser.close();
  await place?.[Symbol.asyncDispose]();
  await releaseAllUnder(shop.folder);
  shop[Symbol.dispose]();
});

function errand(title: string, body: (person: Seat["person"]) => Promise<void>): void {
  test(title, { timeout: 180_000 }, () => seat.person.does(title, body));
}

async function askToAttach(): Promise<void> {
  await seat.person.openView("Explorer");
  await seat.person.contextMenu(seat.person.treeItem("one.img"), "Attach as Loop Device");
}

const untilAttached = () => until("the loop device", () => loopOf(image)?.autoclear === false);

const untilHelper = (isIt: (script: string) => boolean) =>
  until("the one helper that is to run", () => {
    const [helper, ...others] = place.helpers();
    return others.length === 0 && helper !== undefined && isIt(helper.script);
  });

const isOwn = (script: string) => script.endsWith("/dist/helper.js");

errand("it is installed without a password, and takes over from the tree's", async (person) => {
  await new DevicesView(person).open();
  await untilHelper(isOwn);
  await person.palette("Diskloom: Install Privileged Helper...");
  await (await person.dialog("Install Diskloom's privileged helper?")).click("Install");
  await person.toast("From now on only that copy becomes root.");
  await askToAttach();
  await untilAttached();
  await untilHelper((script) => script === INSTALLED);
});

errand("it is refused when a folder above it can be written by others", async (person) => {
  place.run("chmod o+w /usr/local/lib");
  await person.palette("Diskloom: Restart Root Helper");
  await person.toast("Diskloom's installed helper isn't safe to run as root: /usr/local/lib can be written by others");
  await untilHelper(isOwn);
  await person.dismissToasts();
  await askToAttach();
  await person.toast("Diskloom's installed helper isn't safe to run as root");
  assert.deepEqual(loopsUnder(shop.folder), []);
  place.run("chmod o-w /usr/local/lib");
});

errand("it is uninstalled", async (person) => {
  await person.palette("Diskloom: Uninstall Privileged Helper...");
  await (await person.dialog("Uninstall Diskloom's privileged helper?")).click("Uninstall");
  await person.toast("Diskloom's privileged helper is uninstalled.");
  assert.equal(existsSync(place.path(BASE)), false);
  await askToAttach();
  await untilAttached();
  await untilHelper(isOwn);
});
