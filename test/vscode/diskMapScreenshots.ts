/* The pictures of the disk map in the README. */
import { mkdirSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { MiB, run, Workshop } from "../images";
import { DevicesView } from "./devices-view";
import { loopOf, releaseAllUnder } from "./loops";
import { type Served, takeSeat } from "./seat";
import { until } from "./until";

const DISK = `label: gpt
start=1MiB, size=96MiB, type=uefi, name=boot
start=97MiB, size=420MiB, type=linux, name=system
start=517MiB, size=64MiB, type=swap, name=swap
start=581MiB, size=300MiB, type=linux, name=data
`;
const VIEWPORT = { width: 1000, height: 560 };

/** @param folder gets disk-map-dark.png, disk-map-light.png and, to look at, disk-map-high-contrast.png */
export async function takeMapScreenshots(served: Served, folder: string): Promise<void> {
  const shop = new Workshop();
  mkdirSync(folder, { recursive: true });
  const mounted: string[] = [];
  const { browser, person } = await takeSeat(served, "disk-map-screenshots", {
    folder: shop.folder,
    viewport: VIEWPORT,
    scale: 2,
  });
  try {
    const { page } = person;
    await person.does("prepare the map", async () => {
      const disk = makeDisk(shop);
      await person.contextMenu(person.treeItem(basename(disk)), "Attach as Loop Device");
      const { device } = await until("the device", () => loopOf(disk));
      const view = new DevicesView(person);
      await view.open();
      await person.contextMenu(view.row({ device }), "Show Disk Map");
      const map = await person.webview(`Disk Map: ${basename(device)}`);
      await map.locator(".face").nth(3).waitFor();
      for (const [number, name, megabytes] of [
        [1, "boot", 50],
        [2, "system", 230],
      ] as const) {
        const target = `/mnt/${name}`;
        mkdirSync(target, { recursive: true });
        run("mount", [`${device}p${number}`, target]);
        mounted.push(target);
        writeFileSync(join(target, "data"), Buffer.alloc(megabytes * MiB));
        run("sync", ["-f", target]);
      }
      await person.dismissToasts();
      await map.locator(".about.used").nth(1).waitFor();
      await person.palette("View: Toggle Primary Side Bar Visibility");
      await page.locator(".part.sidebar").waitFor({ state: "hidden" });
      await map.locator("tbody tr").nth(1).click();
      await page.mouse.move(VIEWPORT.width / 2, VIEWPORT.height - 30);
    });
    for (const [name, theme, media] of [
      ["dark", "vs-dark", { colorScheme: "dark", forcedColors: "none" }],
      ["light", "vs", { colorScheme: "light", forcedColors: "none" }],
      ["high-contrast", "hc-black", { colorScheme: "dark", forcedColors: "active" }],
    ] as const) {
      await page.emulateMedia(media);
      await page.locator(`.monaco-workbench.${theme}`).waitFor();
      await page.waitForLoadState("networkidle");
      const box = await page.locator(".part.editor").boundingBox();
      await page.screenshot({
        path: join(folder, `disk-map-${name}.png`),
        animations: "disabled",
        ...(box && { clip: box }),
      });
    }
  } finally {
    await browser.close();
    for (const target of mounted) {
      run("umount", [target]);
      rmdirSync(target);
    }
    await releaseAllUnder(shop.folder);
    shop[Symbol.dispose]();
  }
}

function makeDisk(shop: Workshop): string {
  const disk = shop.disk("debian.img", 1000 * MiB, DISK);
  const part = (name: string, start: number, size: number, ...mkfs: [string, ...string[]]) => {
    const file = shop.blank(name, size * MiB);
    const [program, ...options] = mkfs;
    run(program, [...options, file]);
    shop.put(disk, start * MiB, file);
    rmSync(file);
  };
  part("boot", 1, 96, "mkfs.ext4", "-q", "-F", "-L", "boot");
  part("system", 97, 420, "mkfs.xfs", "-q", "-L", "system");
  part("swap", 517, 64, "mkswap");
  part("data", 581, 300, "mkfs.btrfs", "-q", "-L", "data");
  return disk;
}
