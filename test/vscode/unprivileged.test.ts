/* A user who isn't root, and a sudo that asks for no password. */
import assert from "node:assert/strict";
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import test, { after, afterEach, before } from "node:test";
import { MiB, Workshop } from "../images";
import { DevicesView } from "./devices-view";
import { type Disk, editAsMine, editInImage, filesOfRoot, raspberryPi } from "./edit";
import { type Loop, loopOf, loopsUnder, losetup, losetupDetach, releaseAllUnder } from "./loops";
import { packaged, ROOMY, type Seat, takeSeat } from "./seat";
import { UnprivilegedPlace, USER } from "./unprivileged-place";
import { until } from "./until";

const SUDO_LOG = "/run/sudo.log";
/** sudo itself is the witness of who asked it for what. */
const LOGGED = `Defaults logfile=${SUDO_LOG}\n`;
const WITH_PASSWORD = `${LOGGED}${USER.name} ALL=(root) ALL\n`;
const WITHOUT_PASSWORD = `${LOGGED}${USER.name} ALL=(root) NOPASSWD: ALL\n`;

const MOUNTS = `/run/media/${USER.name}`;

const shop = new Workshop();
let place: UnprivilegedPlace;
let seat: Seat;
let view: DevicesView;
let pi: Disk;
let roots: Disk;

before(async () => {
  const images = shop.path("images");
  mkdirSync(images);
  chmodSync(shop.folder, 0o755);
  image("mine.img", USER.uid, 0o600);
  image("readable.img", 0, 0o644);
  image("secret.img", 0, 0o600);
  image("outside.img", 0, 0o644);
  pi = raspberryPi(shop, "images/pi.img", USER.uid);
  roots = filesOfRoot(shop, "images/roots.img", USER.uid);
  place = await UnprivilegedPlace.open(shop.folder, await packaged(), WITH_PASSWORD);
  seat = await takeSeat(place.served, "unprivileged", { folder: images, viewport: ROOMY });
  view = new DevicesView(seat.person);
});

afterEach(async () => {
  await seat?.person.dismissToasts().catch(() => {});
});

after(async () => {
  await seat?.browser.close();
  await place?.[Symbol.asyncDispose]();
  await releaseAllUnder(shop.folder);
  shop[Symbol.dispose]();
});

function image(name: string, owner: number, mode: number): void {
  const path = shop.blank(`images/${name}`, MiB);
  chownSync(path, owner, owner);
  chmodSync(path, mode);
}

const pathOf = (name: string) => shop.path(`images/${name}`);

function errand(title: string, body: (person: Seat["person"]) => Promise<void>): void {
  test(title, () => seat.person.does(title, body));
}

async function askToAttach(name: string): Promise<void> {
  await seat.person.openView("Explorer");
  await seat.person.contextMenu(seat.person.treeItem(name), "Attach as Loop Device");
}

function attached(name: string): Promise<Loop> {
  return until(`the loop device of ${name}`, () => {
    const loop = loopOf(pathOf(name));
    return loop?.autoclear === false && loop;
  });
}

errand("the tree works, and nobody is asked for anything", async () => {
  await view.open();
  const outside = { device: losetup(pathOf("outside.img")), image: pathOf("outside.img") };
  await view.untilLabelled(outside, /outside\.img · 1 MiB/);
  await losetupDetach(outside);
  await view.untilGone(outside);
  assert.deepEqual(
    place.helpers().map(({ uid }) => uid),
    [USER.uid],
  );
  assert.equal(existsSync(place.path(SUDO_LOG)), false, "sudo was asked before anything needed root");
});

errand("where sudo wants a password, it is asked for; without one, nothing is attached", async (person) => {
  await askToAttach("mine.img");
  const box = person.page.locator(".quick-input-widget").filter({ hasText: `Password of ${USER.name}` });
  await box.waitFor();
  await person.page.keyboard.press("Escape");
  await box.waitFor({ state: "hidden" });
  await until("the helper without rights alone", () => {
    const users = place.helpers().map(({ uid }) => uid);
    return users.length === 1 && users[0] === USER.uid;
  });
  assert.deepEqual(loopsUnder(shop.folder), []);
});

errand("the first attach starts the helper as root, for the user, and it takes over", async (person) => {
  place.allow(WITHOUT_PASSWORD);
  await askToAttach("mine.img");
  const loop = await attached("mine.img");
  await person.toast(`mine.img is attached as ${basename(loop.device)}.`);
  assert.equal(loop.readOnly, false);
  await until("the elevated helper alone", () => {
    const users = place.helpers().map(({ uid }) => uid);
    return users.length === 1 && users[0] === 0;
  });
  assert.match(readFileSync(place.path(SUDO_LOG), "utf8").replace(/\n\s+/g, " "), /USER=root.*helper\.js --stdio/);

  await person.palette("Diskloom: Show Log");
  const log = person.page.locator(".panel .view-lines");
  await log.filter({ hasText: new RegExp(`for\\s${USER.name},\\sas\\sroot`) }).waitFor();
  await person.palette("View: Hide Panel");

  await view.open();
  await view.row(loop).waitFor();
  const outside = { device: losetup(pathOf("outside.img")), image: pathOf("outside.img") };
  await view.row(outside).waitFor();
  await losetupDetach(outside);
  await view.untilGone(outside);
});

errand("what the user may only read is attached read-only", async (person) => {
  await askToAttach("readable.img");
  const loop = await attached("readable.img");
  await person.toast(`readable.img is attached as ${basename(loop.device)} (read-only).`);
  assert.equal(loop.readOnly, true);
});

errand("what the user may not read is refused, though the helper is root", async (person) => {
  await askToAttach("secret.img");
  const toast = await person.toast("secret.img can't be read by");
  assert.match(
    toast.text,
    new RegExp(`^${pathOf("secret.img")} can't be read by ${USER.name}\\. Change its permissions`),
  );
  assert.equal(loopOf(pathOf("secret.img")), undefined);
});

errand("a device of root's is the user's to detach only after a yes", async (person) => {
  const device = losetup(pathOf("outside.img"));
  await view.open();
  await person.contextMenu(view.row({ device }), "Detach");
  const dialog = await person.dialog(device);
  assert.match(dialog.text, /was set up by the system or another program/);
  await dialog.click("Cancel");
  assert.equal(loopOf(pathOf("outside.img"))?.device, device);
});

errand("the user detaches what the user attached", async () => {
  for (const name of ["mine.img", "readable.img"]) {
    const loop = await attached(name);
    await view.pressInline(loop, "Detach");
    await view.untilGone(loop);
    assert.equal(loopOf(pathOf(name)), undefined);
  }
});

errand("a Raspberry Pi's image: three clicks, and the edit is in it; and files of root", async () => {
  await editInImage(seat, pi, { path: MOUNTS, seen: place.path(MOUNTS) });
  await editAsMine(seat, roots, { path: MOUNTS, seen: place.path(MOUNTS) });
});

test("the helper ends with the window", async () => {
  assert.equal(place.helpers().length, 1);
  await seat.browser.page.goto("about:blank");
  await until("the end of the helper", () => place.helpers().length === 0);
});
