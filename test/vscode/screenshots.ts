/* The pictures in the README: the Devices tree with something to see in it. */
import { mkdirSync, rmdirSync } from "node:fs";
import { basename, join } from "node:path";
import { root } from "../helper";
import { MiB, run, Workshop } from "../images";
import { DevicesView } from "./devices-view";
import { takeFeatureScreenshots } from "./featureScreenshots";
import { loopOf, releaseAllUnder } from "./loops";
import { type Person, type Served, takeSeat } from "./seat";
import { until } from "./until";

const MOUNT = "/mnt/rootfs";
const SIDE_BAR = 600;
const CLIP = { x: 0, y: 28, width: 52 + SIDE_BAR, height: 310 };

/** @param folder gets devices-dark.png, devices-light.png and those of single features */
export async function takeScreenshots(served: Served, folder: string): Promise<void> {
  const shop = new Workshop();
  mkdirSync(folder, { recursive: true });
  const images = makeImages(shop);
  let made: string | undefined;
  const viewport = { width: 1100, height: 700 };
  const { browser, person } = await takeSeat(served, "screenshots", { folder: shop.folder, viewport, scale: 2 });
  try {
    await person.does("prepare the tree", async () => {
      for (const image of images) {
        await person.contextMenu(person.treeItem(image), "Attach as Loop Device");
        await until(`the device of ${image}`, () => loopOf(shop.path(image)));
      }
      made = mkdirSync(MOUNT, { recursive: true });
      run("mount", [loopOf(shop.path("rootfs.img"))?.device ?? "", MOUNT]);
      await person.dismissToasts();
      await new DevicesView(person).open();
      await person.treeItem(MOUNT).waitFor();
      await widenSideBar(person);
      // The icons at the end of its row show, then. A click on one that has something under it would close it.
      await person.treeItem(basename(loopOf(shop.path("live.squashfs"))?.device ?? "")).click();
    });
    for (const [name, media] of [
      ["dark", { colorScheme: "dark", forcedColors: "none" }],
      ["light", { colorScheme: "light", forcedColors: "none" }],
      ["high-contrast", { colorScheme: "dark", forcedColors: "active" }],
    ] as const) {
      await person.page.emulateMedia(media);
      await person.page.locator(themeSelector[name]).waitFor();
      // Fonts and icons of the theme are drawn a frame later.
      await person.page.waitForLoadState("networkidle");
      // That of high contrast is for us to look at.
      const place = name === "high-contrast" ? join(root, "test/vscode/shots") : folder;
      await person.page.screenshot({ path: join(place, `devices-${name}.png`), clip: CLIP, animations: "disabled" });
    }
    await person.page.emulateMedia({ colorScheme: "dark", forcedColors: "none" });
    await person.page.locator(themeSelector.dark).waitFor();
    await person.does("pictures of single features", async () => {
      const image = shop.path("rootfs.img");
      const used = await until("the device that is mounted", () => loopOf(image));
      await takeFeatureScreenshots(person, { disk: "disk.img", used }, folder);
    });
  } finally {
    await browser.close();
    await releaseAllUnder(shop.folder);
    shop[Symbol.dispose]();
    if (made !== undefined) {
      rmdirSync(made);
    }
  }
}

const themeSelector = {
  dark: ".monaco-workbench.vs-dark",
  light: ".monaco-workbench.vs",
  "high-contrast": ".monaco-workbench.hc-black",
};

function makeImages(shop: Workshop): string[] {
  const rootfs = shop.blank("rootfs.img", 64 * MiB);
  run("mkfs.ext4", ["-q", "-F", "-L", "rootfs", rootfs]);
  const disk = shop.disk(
    "disk.img",
    128 * MiB,
    "label: gpt\nstart=1MiB, size=32MiB, type=uefi, name=EFI\nstart=33MiB, size=64MiB, type=linux, name=root\n",
  );
  shop.put(disk, MiB, shop.fileSystem("vfat", "efi"));
  shop.put(disk, 33 * MiB, rootfs);
  shop.fileSystem("squashfs", "live");
  return ["disk.img", "rootfs.img", "live.squashfs"];
}

/** Descriptions are cut off in a side bar of the usual width. */
async function widenSideBar({ page }: Person): Promise<void> {
  const box = await page.locator(".part.sidebar").boundingBox();
  if (!box) {
    throw new Error("There is no side bar.");
  }
  await page.mouse.move(box.x + box.width, box.y + 400);
  await page.mouse.down();
  await page.mouse.move(box.x + SIDE_BAR, box.y + 400, { steps: 5 });
  await page.mouse.up();
  await page.mouse.move(box.x + SIDE_BAR - 40, box.y + 500);
}
