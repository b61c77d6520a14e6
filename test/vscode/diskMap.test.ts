/* The disk map as a person sees it, with the mouse and without, on the extension as it is shipped. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, rmSync, truncateSync } from "node:fs";
import { basename, join } from "node:path";
import { Family } from "../../extension/views/messages";
import { MiB, run, type Workshop } from "../images";
import { loopOf, losetup, losetupDetach, mountsOf } from "./loops";
import { mapFrame, type Page } from "./map-frame";
import { setStage } from "./stage";
import { until } from "./until";

const HOSTILE = "<img src=x onerror=alert(1)>";
const GPT = `label: gpt
start=1MiB, size=16MiB, type=uefi, name=EFI
start=17MiB, size=64MiB, type=linux, name="${HOSTILE}"
start=100MiB, size=8MiB, type=swap
`;
const MBR = `label: dos
start=1MiB, size=8MiB, type=c
start=9MiB, size=50MiB, type=5
5 : size=20MiB, type=83
6 : size=10MiB, type=82
`;

const stage = setStage(
  "disk-map",
  (shop) => {
    makeDisk(shop, "disk.img");
    shop.disk("mbr.img", 64 * MiB, MBR);
    const rows = Array.from({ length: 128 }, (_, index) => `size=1MiB, name=part${index + 1}`);
    shop.disk("many.img", 160 * MiB, ["label: gpt", ...rows, ""].join("\n"));
    shop.blank("empty.img", 0);
    shop.blank("blank.raw", 8 * MiB);
    shop.fileSystem("squashfs", "live");
    shop.fileSystem("luks", "vault");
    truncateSync(
      shop.disk("cut.img", 65 * MiB, "label: dos\nstart=1MiB, size=8MiB\nstart=9MiB, size=55MiB\n"),
      20 * MiB,
    );
    const damaged = shop.disk("damaged.img", 32 * MiB, "label: gpt\nsize=8MiB, name=survivor\n");
    run("dd", ["if=/dev/urandom", `of=${damaged}`, "bs=512", "seek=1", "count=1", "conv=notrunc", "status=none"]);
  },
  { viewport: { width: 1280, height: 800 } },
);
const { shop, errand } = stage;

function makeDisk(shop: Workshop, name: string): string {
  const disk = shop.disk(name, 128 * MiB, GPT);
  shop.put(disk, MiB, shop.fileSystem("vfat", "efi", 16 * MiB));
  shop.put(disk, 17 * MiB, shop.fileSystem("ext4", "root", 64 * MiB));
  return disk;
}

/** Right-clicks an image in the explorer and opens its map. */
async function mapOfImage(name: string): Promise<Page> {
  const { person } = stage.seat;
  await person.openView("Explorer");
  // Of a file whose name doesn't say that it is an image, it isn't at the top.
  const entries = name.endsWith(".luks") ? ["Diskloom", "Show Disk Map"] : ["Show Disk Map"];
  await person.contextMenu(person.treeItem(name), ...entries);
  return shownMap(name);
}

const shownMap = (name: string) => mapFrame(stage.seat.person, name);
const notice = (page: Page, text: string | RegExp) => page.locator(".notice").getByText(text);
/** What a screen reader says of the segments, in their order. */
const labels = (page: Page) =>
  page.locator(".face").evaluateAll((faces) => faces.map((face) => face.getAttribute("aria-label") ?? ""));
const focused = (page: Page) => page.evaluate(() => document.activeElement?.getAttribute("aria-label") ?? "");
const cells = (page: Page, row: number) => page.locator("tbody tr").nth(row).locator("th, td").allInnerTexts();

errand("an image that isn't attached: segments, free space, details", async () => {
  const page = await mapOfImage("disk.img");
  assert.deepEqual(await labels(page), [
    "Partition 1, EFI, vfat “BOOT”, EFI System, 16 MiB, starts at 1 MiB",
    `Partition 2, ${HOSTILE}, ext4 “Ext Label”, Linux filesystem, 64 MiB, starts at 17 MiB`,
    "Free space, 19 MiB, starts at 81 MiB",
    "Partition 3, Empty, Linux swap, 8 MiB, starts at 100 MiB",
    "Free space, 20 MiB, starts at 108 MiB",
  ]);
  assert.equal(await page.locator(".facts").innerText(), "128 MiB · GPT");
  assert.equal(await page.locator(".path").innerText(), shop.path("disk.img"));
  assert.deepEqual((await cells(page, 0)).slice(1), ["EFI", "vfat “BOOT”", "1 MiB", "16 MiB"]);
  assert.equal(await page.getByRole("list", { name: "Segments of disk.img" }).getByRole("listitem").count(), 5);
  // To look, nobody needs to be root, nor is anything attached.
  assert.equal(loopOf(shop.path("disk.img")), undefined);
});

errand("a hostile name is text, and the page may run nothing but its script", async () => {
  const page = await mapOfImage("disk.img");
  assert.equal(await page.locator("img").count(), 0);
  assert.ok((await page.locator(".face .name").allInnerTexts()).includes(HOSTILE));
  assert.ok((await cells(page, 1)).includes(HOSTILE));
  const policy = await page.locator("meta[http-equiv]").getAttribute("content");
  assert.match(policy ?? "", /^default-src 'none'; style-src \S+( \S+)*; script-src 'nonce-[\w+/=]+'$/);
  assert.doesNotMatch(policy ?? "", /unsafe/);
  const ran = await page.evaluate(() => {
    document.body.insertAdjacentHTML("beforeend", "<button id=try onclick='window.ran = true'></button>");
    document.getElementById("try")?.click();
    document.getElementById("try")?.remove();
    return "ran" in window;
  });
  assert.equal(ran, false);
});

errand("the keyboard walks through the segments, selects one and shows its details", async ({ page: window }) => {
  const page = await mapOfImage("mbr.img");
  // Where the context menu's entry was, a segment may be now: the mouse would bring its details up, too.
  await window.mouse.move(600, 780);
  const [first = "", extended = "", logical = ""] = await labels(page);
  assert.match(extended, /^Partition 2, Extended.*contains/);
  const faces = page.locator(".face");
  assert.equal(await page.locator('.face[tabindex="0"]').count(), 1);
  await page.getByRole("button", { name: "Attach as Loop Device" }).focus();
  await window.keyboard.press("Tab");
  assert.equal(await focused(page), first);
  for (const [key, expected] of [
    ["ArrowLeft", first],
    ["ArrowRight", extended],
    ["ArrowDown", logical],
    ["ArrowUp", extended],
    ["End", (await labels(page)).at(-1)],
    ["Home", first],
  ] as const) {
    await window.keyboard.press(key);
    assert.equal(await focused(page), expected, key);
  }
  await window.keyboard.press("ArrowRight");
  const tooltip = page.locator(".tooltip");
  await tooltip.getByText("50 MiB (52,428,800 bytes)").waitFor();
  await window.keyboard.press("Escape");
  await tooltip.waitFor({ state: "hidden" });
  const outline = await faces.nth(1).evaluate((face) => getComputedStyle(face).outlineStyle);
  assert.equal(outline, "solid");
  await window.keyboard.press("Enter");
  assert.equal(await faces.nth(1).getAttribute("aria-pressed"), "true");
  assert.match(await page.locator("tr.selected").innerText(), /Partition 2/);
  await page.locator("tbody tr").nth(2).click();
  assert.equal(await faces.nth(2).getAttribute("aria-pressed"), "true");
  await faces.nth(0).hover();
  await tooltip.getByText("FAT32 (LBA)").waitFor();
});

errand("128 partitions: each can be seen and pressed", async ({ page: window }) => {
  const page = await mapOfImage("many.img");
  const sizes = await page.locator(".face").evaluateAll((faces) => faces.map((face) => face.clientWidth));
  assert.equal(sizes.length, 129);
  assert.ok(Math.min(...sizes) >= 30, `the narrowest has ${Math.min(...sizes)} pixels`);
  await page.locator(".face").first().focus();
  await window.keyboard.press("End");
  await window.keyboard.press("ArrowLeft");
  assert.match(await focused(page), /^Partition 128, part128/);
  const inSight = await page
    .locator(".face")
    .nth(127)
    .evaluate((face) => {
      const { left, right } = face.getBoundingClientRect();
      return left >= 0 && right <= document.documentElement.clientWidth;
    });
  assert.ok(inSight);
});

errand("empty, blank and damaged images say what they are", async () => {
  const empty = await mapOfImage("empty.img");
  await notice(empty, "There is nothing in it: it has 0 bytes.").waitFor();
  assert.equal(await empty.locator(".face").count(), 0);
  assert.deepEqual(await labels(await mapOfImage("blank.raw")), ["blank.raw, Empty, 8 MiB, starts at 0 B"]);
  const damaged = await mapOfImage("damaged.img");
  await notice(damaged, /first copy of the partition table \(GPT\) is damaged/).waitFor();
  assert.match((await labels(damaged)).join(), /^Partition 1, survivor/);
});

errand("as an editor that is offered: Open With..., live with the file", async (person) => {
  await person.palette("View: Close All Editors");
  await person.openView("Explorer");
  await person.contextMenu(person.treeItem("live.squashfs"), "Open With...");
  await person.quickPick(/^Disk Map/);
  const packed = await shownMap("live.squashfs");
  assert.match((await labels(packed)).join(), /^live\.squashfs, squashfs, /);

  const disk = shop.disk("changing.img", 64 * MiB, "label: gpt\nsize=8MiB, name=before\n");
  await person.contextMenu(person.treeItem("changing.img"), "Open With...");
  await person.quickPick(/^Disk Map/);
  const page = await shownMap("changing.img");
  assert.match((await labels(page)).join(), /before/);
  run("sfdisk", ["-q", disk], "label: gpt\nsize=8MiB, name=after\nsize=8MiB, name=more\n");
  await until("the new partitions", async () => /after.*more/.test((await labels(page)).join()));
  truncateSync(disk, 0);
  await notice(page, "it has 0 bytes").waitFor();
  rmSync(disk);
  await notice(page, /Once it is there again, so is its map/).waitFor();
  assert.equal(await page.locator(".notice.error").count(), 1);
  shop.disk("changing.img", 64 * MiB, "label: gpt\nsize=8MiB, name=back\n");
  await until("the image's return", async () => /back/.test((await labels(page)).join()));
});

errand("attach from an image's map, on to the device's, mount and detach: it follows live", async (person) => {
  const image = await mapOfImage("disk.img");
  await image.getByRole("button", { name: "Attach as Loop Device" }).click();
  const loop = await until("the device", () => loopOf(shop.path("disk.img")));
  const name = basename(loop.device);
  await image.getByRole("button", { name: `Show Map of ${name}` }).click();
  const page = await shownMap(name);
  await until("the partitions", async () => (await labels(page))[0]?.startsWith(`${name}p1, EFI`));

  const target = shop.path("mounted here");
  mkdirSync(target);
  run("mount", [`${loop.device}p2`, target]);
  await page.getByText(/^\d+ % used$/).waitFor();
  assert.match((await labels(page))[1] ?? "", /\(\d+ %\) used, mounted at .*mounted here/);
  run("umount", [target]);
  await page.getByText(/^\d+ % used$/).waitFor({ state: "detached" });

  await page.getByRole("button", { name: "Flush" }).click();
  await stage.view.status(new RegExp(`${name} flushed`));
  await page.getByRole("button", { name: "Detach" }).click();
  await notice(page, `${name} isn't there any more`).waitFor();
  assert.equal(await page.locator(".face").count(), 0);
  assert.equal(loopOf(shop.path("disk.img")), undefined);
  await page.getByRole("button", { name: "Show Map of disk.img" }).click();
  // It is the one that was open already.
  await shownMap("disk.img");
  assert.equal(await person.page.locator(".tab").filter({ hasText: "Disk Map: disk.img" }).count(), 1);
});

errand("mount and unmount by the map's own buttons", async (person) => {
  await person.openView("Explorer");
  await person.contextMenu(person.treeItem("disk.img"), "Attach as Loop Device");
  const { device, image } = await until("the device", () => loopOf(shop.path("disk.img")));
  const name = basename(device);
  await stage.view.open();
  await person.contextMenu(stage.view.row({ device, image }), "Show Disk Map");
  const page = await shownMap(name);
  await page.getByRole("button", { name: `Mount ${name}p2`, exact: true }).click();
  const [target = ""] = await until("the mount", () => mountsOf(`${device}p2`).length > 0 && mountsOf(`${device}p2`));
  await page.getByText(/^\d+ % used$/).waitFor();
  assert.ok((await labels(page)).some((label) => label.includes(`mounted at ${target}`)));
  assert.equal(await page.getByRole("button", { name: `Mount ${name}p2`, exact: true }).count(), 0);
  await person.dismissToasts();
  await page.getByRole("button", { name: `Unmount ${name}p2` }).click();
  await page.getByRole("button", { name: `Mount ${name}p2`, exact: true }).waitFor();
  assert.deepEqual(mountsOf(`${device}p2`), []);
  assert.ok(!existsSync(target));
});

errand("rescan by the map's button: partitions that the kernel didn't know", async (person) => {
  const image = shop.path("mbr.img");
  const device = losetup(image);
  const name = basename(device);
  await stage.view.open();
  await person.contextMenu(stage.view.row({ device, image }), "Show Disk Map");
  const page = await shownMap(name);
  await notice(page, "The kernel knows of no partitions").waitFor();
  await page.getByRole("button", { name: "Rescan Partitions" }).click();
  await (await person.dialog(/set up by/)).click("Rescan Anyway");
  await until("the partitions", async () => (await labels(page))[0]?.startsWith(`${name}p1`));
  assert.ok(existsSync(`${device}p5`));
  await page.getByRole("button", { name: "Detach" }).click();
  await (await person.dialog(/set up by/)).click("Detach Anyway");
  await notice(page, `${name} isn't there any more`).waitFor();
  assert.ok(!existsSync(`${device}p5`));
});

errand("what was cut short or can't be opened says so", async () => {
  const cut = await mapOfImage("cut.img");
  await notice(cut, "Cut short: its partition table is for 64 MiB, of which the last 44 MiB are missing.").waitFor();
  assert.match((await labels(cut)).join(), /Reaches past the end/);
  const vault = await mapOfImage("vault.luks");
  assert.deepEqual(await labels(vault), ["vault.luks, crypto_LUKS “vault”, 20 MiB, starts at 0 B"]);
  assert.equal(await vault.locator(".face .family-crypto, .family-crypto .face").count(), 1);
});

errand("colours keep their contrast in light, dark and high contrast themes", async ({ page: window }) => {
  const page = await mapOfImage("disk.img");
  for (const [theme, media] of [
    ["vscode-light", { colorScheme: "light", forcedColors: "none" }],
    ["vscode-high-contrast", { colorScheme: "dark", forcedColors: "active" }],
    ["vscode-high-contrast-light", { colorScheme: "light", forcedColors: "active" }],
    ["vscode-dark", { colorScheme: "dark", forcedColors: "none" }],
  ] as const) {
    await window.emulateMedia(media);
    await page.locator(`body.${theme}`).waitFor();
    const weak = await page.evaluate(weakColours, Family.options);
    assert.deepEqual(weak, [], theme);
  }
});

/**
 * The families whose colour can't be told from the ground, and words that can't be read, by the least contrasts of WCAG
 * 2.2: 3 to 1 (1.4.11) and 4.5 to 1 (1.4.3). Runs in the page.
 */
function weakColours(families: readonly string[]): string[] {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const luminance = (color: string): number => {
    if (!canvas) {
      throw new Error("There is no canvas.");
    }
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [red = 0, green = 0, blue = 0] = [...canvas.getImageData(0, 0, 1, 1).data].map((byte) => {
      const part = byte / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const contrast = (one: string, other: string) => {
    const [dark = 0, light = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  };
  const ground = getComputedStyle(document.body).getPropertyValue("--vscode-editor-background").trim();
  const weak: string[] = [];
  for (const family of families) {
    const item = document.createElement("li");
    item.className = `family-${family}`;
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    item.append(swatch);
    document.getElementById("map")?.append(item);
    const seen = contrast(getComputedStyle(swatch).borderTopColor, ground);
    item.remove();
    // Where nothing is, there is nothing to be seen but a line.
    if (seen < 3 && family !== "free" && family !== "empty") {
      weak.push(`${family} ${seen.toFixed(1)}`);
    }
  }
  for (const words of document.querySelectorAll("h1, .facts, .path, th, td, .about")) {
    const seen = contrast(getComputedStyle(words).color, ground);
    if (seen < 4.5) {
      weak.push(`“${words.textContent}” ${seen.toFixed(1)}`);
    }
  }
  return weak;
}

errand("from the tree, and what is detached elsewhere", async (person) => {
  const image = shop.path("disk.img");
  const device = losetup(image);
  const name = basename(device);
  await stage.view.open();
  await person.contextMenu(stage.view.row({ device, image }), "Show Disk Map");
  const page = await shownMap(name);
  await until("its content", async () => (await page.locator(".facts").innerText()).includes("GPT"));
  // Attached without a scan, and some kernels have none: what isn't known isn't free.
  await until(
    "a word on it",
    async () => (await labels(page)).join().startsWith(`${name}, GPT`) || (await labels(page)).length > 1,
  );
  if ((await labels(page)).length === 1) {
    await notice(page, "The kernel knows of no partitions").waitFor();
    await page.getByRole("button", { name: "Rescan Partitions" }).waitFor();
  }
  await losetupDetach({ device, image });
  await notice(page, `${name} isn't there any more`).waitFor();
});

errand("it is there again after a reload", async (person) => {
  await person.palette("View: Close All Editors");
  const image = shop.path("blank.raw");
  const device = losetup(image);
  await stage.view.open();
  await person.contextMenu(stage.view.row({ device, image }), "Show Disk Map");
  await shownMap(basename(device));
  // Not the browser's: VS Code keeps its state a while before it writes it.
  await person.page.evaluate(() => document.body.classList.add("before-reload"));
  await person.palette("Developer: Reload Window");
  await person.page.locator("body:not(.before-reload) .monaco-workbench").waitFor();
  await until("the same map", async () => /Empty, 8 MiB/.test((await labels(await shownMap(basename(device)))).join()));
});

if (process.env.DISKLOOM_SCREENSHOTS === "1") {
  errand("screenshots for the README", async () => {
    const { takeMapScreenshots } = await import("./diskMapScreenshots");
    await takeMapScreenshots(stage.served, join(process.env.DISKLOOM_ROOT ?? process.cwd(), "media/screenshots"));
  });
}
