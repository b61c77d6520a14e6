/* A user who isn't root becomes it: by a password in VS Code's own box, and by polkit. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import { basename, join } from "node:path";
import test, { after, afterEach, before } from "node:test";
import { pathToFileURL } from "node:url";
import { sudoRefusal } from "../../extension/helper/advice";
import { ANY_PROGRAM } from "../../extension/helper/polkit";
import { root } from "../helper";
import { MiB, Workshop } from "../images";
import type { Outcome, Wish } from "./become-root";
import { DevicesView } from "./devices-view";
import { loopOf, loopsUnder, losetup, losetupDetach, releaseAllUnder } from "./loops";
import { type Person, packaged, ROOMY, type Seat, takeSeat } from "./seat";
import { UnprivilegedPlace, USER } from "./unprivileged-place";
import { until } from "./until";

const PASSWORD = 'Right "one" $(1) ✓';
const WRONG = "Wrong-one-7281";
/** sudo remembers nothing, so that it asks each time. */
const SUDOERS = `Defaults timestamp_timeout=0\n${USER.name} ALL=(root) ALL\n`;
const ROOT_STATUS = "Diskloom: root";

const shop = new Workshop();
let place: UnprivilegedPlace;
let seat: Seat;
let view: DevicesView;
let witness: Witness;

/** Looks all the time whether a secret is where every process can read it. */
class Witness implements Disposable {
  readonly seen = new Set<string>();
  looks = 0;
  readonly #timer = setInterval(() => this.#look(), 40);

  #look(): void {
    this.looks++;
    for (const { pid, file } of processes().flatMap(({ pid }) =>
      ["environ", "cmdline"].map((file) => ({ pid, file })),
    )) {
      try {
        const bytes = readFileSync(`/proc/${pid}/${file}`);
        if ([PASSWORD, WRONG].some((secret) => bytes.includes(secret))) {
          this.seen.add(`${file} of ${bytes.toString("latin1").slice(0, 100)}`);
        }
      } catch {
        // It ended meanwhile.
      }
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

/** All processes in there, with their command lines. */
function processes(): { pid: number; command: string }[] {
  const namespace = readlinkSync(`/proc/${place.init}/ns/pid`);
  return readdirSync("/proc").flatMap((name) => {
    try {
      return /^\d+$/.test(name) && readlinkSync(`/proc/${name}/ns/pid`) === namespace
        ? [{ pid: Number(name), command: readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ") }]
        : [];
    } catch {
      return [];
    }
  });
}

/** What is only there while a helper is being started. */
const leftovers = () =>
  readdirSync(join(place.codeFolder, "xdg_runtime_dir")).filter((name) => name.startsWith("diskloom-"));

const untilNoLeftovers = () => until("the end of what was there for a start", () => leftovers().length === 0);

const configure = (settings: Record<string, unknown>, page?: Person["page"]) => place.configure(settings, page);
const inside = (script: string) => place.run(script);

before(async () => {
  const { ensureDebianPackages } = await import(pathToFileURL(join(root, "test/tools/packages.mjs")).href);
  ensureDebianPackages(["sudo", "pkexec", "polkitd", "dbus", "openssl"], "the tests of becoming root");
  const images = shop.path("images");
  mkdirSync(images);
  chmodSync(shop.folder, 0o755);
  for (const name of ["one.img", "outside.img"]) {
    const path = shop.blank(`images/${name}`, MiB);
    chownSync(path, USER.uid, USER.uid);
    chmodSync(path, 0o600);
  }
  place = await UnprivilegedPlace.open(shop.folder, await packaged(), SUDOERS);
  place.setPassword(PASSWORD);
  witness = new Witness();
  seat = await takeSeat(place.served, "elevation", { folder: images, viewport: ROOMY });
  view = new DevicesView(seat.person);
});

afterEach(async () => {
  await releaseAllUnder(shop.folder);
  await seat?.person.dismissToasts().catch(() => {});
});

after(async () => {
  witness?.[Symbol.dispose]();
  await seat?.browser.close();
  await place?.[Symbol.asyncDispose]();
  await releaseAllUnder(shop.folder);
  shop[Symbol.dispose]();
});

const image = shop.path("images/one.img");

function errand(title: string, body: (person: Seat["person"]) => Promise<void>): void {
  test(title, { timeout: 120_000 }, () => seat.person.does(title, body));
}

async function askToAttach(): Promise<void> {
  await seat.person.openView("Explorer");
  await seat.person.contextMenu(seat.person.treeItem("one.img"), "Attach as Loop Device");
}

/** The password box with this title, once it is open. */
async function box(title: string) {
  const widget = seat.person.page.locator(".quick-input-widget").filter({
    has: seat.person.page.locator(".quick-input-title", { hasText: title }),
  });
  await widget.waitFor();
  return widget;
}

async function enter(title: string, password: string): Promise<void> {
  const widget = await box(title);
  await seat.person.inputBox(password);
  await widget.waitFor({ state: "hidden" });
}

const FIRST = "Diskloom Needs Root Rights";
const AGAIN = "Diskloom: Wrong Password, Try Again";

const users = () => place.helpers().map(({ uid }) => uid);
const untilHelperOf = (uid: number) => until(`a helper of user ${uid} alone`, () => users().join() === String(uid));
const status = () => seat.person.page.locator(".statusbar .statusbar-item").filter({ hasText: ROOT_STATUS });

async function untilAttached(): Promise<string> {
  const loop = await until("the loop device", () => {
    const found = loopOf(image);
    return found?.autoclear === false && found;
  });
  await seat.person.toast(`one.img is attached as ${basename(loop.device)}.`);
  return loop.device;
}

errand("the password is asked for in VS Code's own box: wrong, then right", async (person) => {
  await view.open();
  await untilHelperOf(USER.uid);
  await askToAttach();
  const first = await box(FIRST);
  assert.equal(await first.locator("input.input").getAttribute("type"), "password");
  assert.match(await first.innerText(), new RegExp(`Password of ${USER.name} on ${hostname()}, for sudo\\.`));
  await person.inputBox(WRONG);
  await enter(AGAIN, PASSWORD);
  await untilAttached();
  await untilHelperOf(0);
  await status().waitFor();
  await untilNoLeftovers();
  await until(
    "the end of sudo's asking program",
    () => !processes().some(({ command }) => command.includes("askpass")),
  );
});

errand("the status bar says so and stops it; the tree lives on", async (person) => {
  await status().click();
  await person.quickPick(/Stop/);
  await untilHelperOf(USER.uid);
  await status().waitFor({ state: "detached" });
  await view.open();
  const outside = shop.path("images/outside.img");
  const device = losetup(outside);
  await view.row({ device }).waitFor();
  await losetupDetach({ device, image: outside });
  await view.untilGone({ device });
});

errand("cancelled: it ends at once, without a word, and nothing is attached", async (person) => {
  await askToAttach();
  await box(FIRST);
  await person.page.keyboard.press("Escape");
  await until("the end of sudo", () => !processes().some(({ command }) => /^(\S*\/)?sudo /.test(command)));
  await untilNoLeftovers();
  await untilHelperOf(USER.uid);
  assert.deepEqual(loopsUnder(shop.folder), []);
  const toasts = person.page.locator(".notifications-toasts .notification-toast");
  // Where the box took longer than a second to come, there was one that said what is under way.
  await toasts.filter({ hasText: "Attaching one.img" }).waitFor({ state: "detached" });
  assert.equal(await toasts.count(), 0);
});

errand("three wrong ones end it with a message", async (person) => {
  await askToAttach();
  for (const title of [FIRST, AGAIN, AGAIN]) {
    await enter(title, WRONG);
  }
  const toast = await person.toast("The password was wrong 3 times. Nothing was done; try again with the right one.");
  assert.match(toast.text, /^Diskloom needs root rights for that\./);
  await untilHelperOf(USER.uid);
  await untilNoLeftovers();
});

errand("idle: it ends by itself, and comes again when it is needed", async (person) => {
  for (let round = 0; round < 2; round++) {
    await askToAttach();
    await enter(FIRST, PASSWORD);
    await untilAttached();
    await untilHelperOf(0);
    await status().waitFor();
    // Only now: on a slow machine, it would be over before anybody has seen that it had begun.
    await configure({ "diskloom.idleMinutes": 0.01 }, person.page);
    await untilHelperOf(USER.uid);
    await status().waitFor({ state: "detached" });
    await configure({}, person.page);
    await losetupDetach({ device: loopOf(image)?.device ?? "", image });
    await person.dismissToasts();
  }
});

errand("Restart asks anew and starts another one", async (person) => {
  await askToAttach();
  await enter(FIRST, PASSWORD);
  await untilAttached();
  await untilHelperOf(0);
  const [before] = place.helpers();
  await person.palette("Diskloom: Restart Root Helper");
  await enter(FIRST, PASSWORD);
  await until("another helper", () => users().join() === "0" && place.helpers()[0]?.pid !== before?.pid);
  await person.palette("Diskloom: Stop Root Helper");
  await untilHelperOf(USER.uid);
});

errand("“direct” says that this isn't root", async (person) => {
  await configure({ "diskloom.elevation": "direct" }, person.page);
  await askToAttach();
  const toast = await person.toast("Diskloom needs root rights for that.");
  assert.match(toast.text, /doesn't run as root\. Set “diskloom\.elevation” to “auto”/);
});

/** Becomes root as the extension does, in a process of the user's of which more can be demanded than of a VS Code. */
function becomeRoot(setting: Wish["setting"], ...restrictions: string[]): Outcome {
  const user = ["setpriv", `--reuid=${USER.uid}`, `--regid=${USER.uid}`, "--clear-groups", ...restrictions];
  const program = [process.execPath, "/mnt/dist/test/vscode/become-root.js"];
  const wish: Wish = { helper: "/mnt/dist/helper.js", setting, password: PASSWORD };
  const { status, stdout } = spawnSync(
    "nsenter",
    ["--target", String(place.init), "--mount", "--pid", "--", ...user, "env", "-i", "PATH=/usr/bin:/bin", ...program],
    { input: JSON.stringify(wish), encoding: "utf8", stdio: ["pipe", "pipe", "inherit"], cwd: "/" },
  );
  assert.equal(status, 0);
  return JSON.parse(stdout);
}

/** What sudo allows the user while something is done. */
function allowing<T>(sudoers: string, body: () => T): T {
  place.allow(`Defaults timestamp_timeout=0\n${sudoers}\n`);
  try {
    return body();
  } finally {
    place.allow(SUDOERS);
  }
}

const NEEDS = "Diskloom needs root rights for that.";

test("“no new privileges”: nothing is tried, and it is said what to do; sudo itself says the same", () => {
  for (const setting of ["auto", "sudo", "polkit"] as const) {
    const { failure, asked } = becomeRoot(setting, "--no-new-privs");
    assert.match(failure ?? "", new RegExp(`^${NEEDS} .*“no new privileges”.*Start it another way`));
    assert.equal(asked, 0);
  }
  const script = `setpriv --reuid=${USER.uid} --clear-groups --no-new-privs sudo -n true 2>&1 || true`;
  assert.match(sudoRefusal(inside(script)).advice, /“no new privileges”.*Start it another way/);
});

test("“requiretty”: it is said what that is and what to do, and nobody is asked for a password", () => {
  const { failure, asked } = allowing(`Defaults requiretty\n${USER.name} ALL=(root) ALL`, () => becomeRoot("auto"));
  assert.match(failure ?? "", new RegExp(`^${NEEDS} sudo demands a terminal here \\(“requiretty” in sudoers\\)`));
  assert.match(
    failure ?? "",
    /Ask an administrator to take that out for you, or set “diskloom\.elevation” to “polkit”/,
  );
  assert.equal(asked, 0);
});

test("not in sudoers: an administrator is to be asked", () => {
  const { failure, asked } = allowing("", () => becomeRoot("sudo"));
  assert.match(failure ?? "", new RegExp(`^${NEEDS} .*\\(sudoers\\)\\. Ask an administrator`));
  // sudo tells nobody who hasn't proved to be the user.
  assert.equal(asked, 1);
});

test("no sudo: it is to be installed", () => {
  inside("mount --bind /dev/null /usr/bin/sudo");
  try {
    const { failure } = becomeRoot("sudo");
    assert.match(failure ?? "", new RegExp(`^${NEEDS} There is no sudo here\\. Install it`));
  } finally {
    inside("umount /usr/bin/sudo");
  }
});

test("sudo without a password for another program only is no such sudo for us: the password is asked for", () => {
  const { by, uid, asked, log } = allowing(
    `${USER.name} ALL=(root) ALL\n${USER.name} ALL=(root) NOPASSWD: /usr/bin/true`,
    () => becomeRoot("auto"),
  );
  assert.deepEqual([by, uid, asked], ["sudo with a password", 0, 1]);
  assert.ok(log.includes("sudo without a password failed: sudo: a password is required"), log.join("\n"));
});

test("sudo without a password for us only is one: nobody is asked", () => {
  const { by, uid, asked } = allowing(
    `${USER.name} ALL=(root) ALL\n${USER.name} ALL=(root) NOPASSWD: /usr/bin/env`,
    () => becomeRoot("auto"),
  );
  assert.deepEqual([by, uid, asked], ["sudo without a password", 0, 0]);
});

errand("polkit without anybody to ask by says so", async (person) => {
  await configure({ "diskloom.elevation": "polkit" }, person.page);
  await place.startPolkit(ANY_PROGRAM);
  await askToAttach();
  const toast = await person.toast("Diskloom needs root rights for that.");
  assert.match(toast.text, /no authentication agent runs for this session\. Set “diskloom\.elevation” to “sudo”/);
  await untilNoLeftovers();
});

errand("polkit with a rule: the helper's stdin and stdout are two FIFOs that are gone by then", async (person) => {
  await place.allowByPolkit(ANY_PROGRAM);
  await askToAttach();
  const device = await untilAttached();
  await untilHelperOf(0);
  await status().waitFor();
  await untilNoLeftovers();
  await view.open();
  // A row that is drawn anew between the click and its command names no device, and then it is asked for which one.
  await view.untilLabelled({ device }, /one\.img · 1 MiB$/);
  await view.pressInline({ device }, "Detach");
  await view.untilGone({ device });
  await person.palette("Diskloom: Stop Root Helper");
  await untilHelperOf(USER.uid);
  await until("the end of pkexec's shells", () => !processes().some(({ command }) => command.includes("polkit.js")));
  await askToAttach();
  await untilAttached();
  await untilHelperOf(0);
});

const untilAllEnded = () =>
  until("the end of the helper and of what makes it root", () => {
    const ours = processes().filter(({ command }) => /sudo |pkexec|polkit\.js|askpass/.test(command));
    return place.helpers().length === 0 && ours.length === 0;
  });

test("the helper ends with the window, and so does all that made it root", { timeout: 120_000 }, async () => {
  const address = seat.browser.page.url();
  await seat.browser.page.goto("about:blank");
  await untilAllEnded();
  await configure({});
  await seat.browser.page.goto(address);
  await seat.person.does("a window that is closed while it asks for the password", async ({ page }) => {
    await askToAttach();
    await box(FIRST);
    assert.ok(processes().some(({ command }) => command.includes("askpass")));
    await page.goto("about:blank");
  });
  await untilAllEnded();
});

const extensionHosts = () => processes().filter(({ command }) => command.includes("--type=extensionHost"));

for (const [setting, unlock] of [
  ["sudo", () => enter(FIRST, PASSWORD)],
  ["polkit", async () => {}],
] as const) {
  test(`a helper that is root by ${setting} ends with an extension host that is killed`, {
    timeout: 120_000,
  }, async () => {
    const { page } = seat.browser;
    await configure({ "diskloom.elevation": setting });
    await page.goto(place.served.address({ folder: shop.path("images") }));
    let root = 0;
    await seat.person.does(`root by ${setting}`, async () => {
      await askToAttach();
      await unlock();
      await untilAttached();
      await untilHelperOf(0);
      root = place.helpers()[0]?.pid ?? 0;
    });
    for (const { pid } of extensionHosts()) {
      process.kill(pid, "SIGKILL");
    }
    await until("its end", () => root > 0 && !place.helpers().some(({ pid }) => pid === root));
    // VS Code starts another extension host by itself.
    await page.goto("about:blank");
    await untilAllEnded();
  });
}

test("no password was in an argument, an environment, a log or a file", () => {
  assert.ok(witness.looks > 100);
  assert.deepEqual([...witness.seen], []);
  const files = spawnSync(
    "grep",
    [
      "--recursive",
      "--files-with-matches",
      "--binary-files=text",
      "--fixed-strings",
      "-e",
      PASSWORD,
      "-e",
      WRONG,
      place.codeFolder,
    ],
    { encoding: "utf8" },
  );
  assert.equal(files.stdout, "");
});
