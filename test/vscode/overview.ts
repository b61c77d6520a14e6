/* The picture at the top of the README: an image attached by a task, in the Devices tree and as a disk map. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MiB, run, Workshop } from "../images";
import { DevicesView } from "./devices-view";
import { loopOf, mountsOf, releaseAllUnder } from "./loops";
import { type Served, takeSeat } from "./seat";
import { until } from "./until";

const TASK = "attach sdcard";
const SIDE_BAR = 470;
const VIEWPORT = { width: 1440, height: 800 };

/** @param folder gets overview-dark.png */
export async function takeOverview(served: Served, folder: string): Promise<void> {
  const shop = new Workshop();
  mkdirSync(folder, { recursive: true });
  const image = makeCard(shop);
  const { browser, person } = await takeSeat(served, "overview", { folder: shop.folder, viewport: VIEWPORT, scale: 2 });
  try {
    const { page } = person;
    await person.does("prepare the overview", async () => {
      await person.palette("Tasks: Run Task");
      await person.quickPick("diskloom");
      await person.quickPick(TASK);
      await page.locator(".terminal-wrapper").filter({ hasText: "mounted at" }).waitFor();
      const { device } = await until("the device", () => loopOf(image));
      await until("the mount", () => mountsOf(`${device}p2`)[0]);
      const view = new DevicesView(person);
      await view.open();
      await person.contextMenu(view.row({ device }), "Show Disk Map");
      const map = await person.webview(`Disk Map: ${device.slice("/dev/".length)}`);
      await map.locator(".face").nth(1).waitFor();
      await person.dismissToasts();
      await widenSideBar();
      await page.mouse.move(VIEWPORT.width / 2, VIEWPORT.height / 2);
    });
    await page.emulateMedia({ colorScheme: "dark", forcedColors: "none" });
    await page.locator(".monaco-workbench.vs-dark").waitFor();
    await page.waitForLoadState("networkidle");
    await page.screenshot({ path: join(folder, "overview-dark.png"), animations: "disabled" });

    /** Descriptions are cut off in a side bar of the usual width. */
    async function widenSideBar(): Promise<void> {
      const box = await page.locator(".part.sidebar").boundingBox();
      if (!box) {
        throw new Error("There is no side bar.");
      }
      await page.mouse.move(box.x + box.width, box.y + 400);
      await page.mouse.down();
      await page.mouse.move(box.x + SIDE_BAR, box.y + 400, { steps: 5 });
      await page.mouse.up();
    }
  } finally {
    await browser.close();
    await releaseAllUnder(shop.folder);
    shop[Symbol.dispose]();
  }
}

function makeCard(shop: Workshop): string {
  const script = "label: dos\nstart=1MiB, size=64MiB, type=c\nstart=65MiB, size=180MiB, type=83\n";
  const card = shop.disk("sdcard.img", 256 * MiB, script);
  for (const [start, size, label] of [
    [1, 64, "boot"],
    [65, 180, "rootfs"],
  ] as const) {
    const part = shop.blank(label, size * MiB);
    run("mkfs.ext4", ["-q", "-F", "-L", label, part]);
    shop.put(card, start * MiB, part);
    rmSync(part);
  }
  mkdirSync(shop.path(".vscode"));
  const task = { label: TASK, type: "diskloom", action: "mount", image: "sdcard.img", problemMatcher: [] };
  writeFileSync(shop.path(".vscode/tasks.json"), JSON.stringify({ version: "2.0.0", tasks: [task] }));
  return card;
}
