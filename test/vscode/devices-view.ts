/* The Devices view as a person sees it. */
import assert from "node:assert/strict";
import { basename } from "node:path";
import type { Loop } from "./loops";
import type { Locator, Person } from "./seat";
import { until } from "./until";

type Named = Pick<Loop, "device"> & Partial<Pick<Loop, "image">>;

export class DevicesView {
  constructor(readonly person: Person) {}

  /** Brings it to the front. */
  async open(): Promise<void> {
    await this.person.openView("Diskloom");
    await this.person.page.locator(".sidebar .title-label", { hasText: "Diskloom" }).waitFor();
  }

  /** The row of a device; of one whose image is known, not that of another that had its number before. */
  row({ device, image = "" }: Named): Locator {
    return this.person.treeItem(basename(device)).filter({ hasText: basename(image) });
  }

  /** What a screen reader says of a device's row, once there is one. */
  async label(loop: Named): Promise<string> {
    await this.row(loop).waitFor();
    return (await this.row(loop).getAttribute("aria-label")) ?? "";
  }

  /** Waits until a device's row says this: while a device is set up, it is shown as it is at that moment. */
  async untilLabelled(loop: Named, label: RegExp): Promise<void> {
    await until(`the row of ${loop.device}`, async () => {
      assert.match(await this.label(loop), label);
      return true;
    });
  }

  async untilGone(loop: Named): Promise<void> {
    await this.row(loop).waitFor({ state: "detached" });
  }

  /** Presses one of the icons at the end of a device's row. */
  async pressInline(loop: Named, name: string): Promise<void> {
    await this.pressOn(this.row(loop), name);
  }

  /** Presses one of the icons at the end of a row, which show while the mouse is over it. */
  async pressOn(row: Locator, name: string): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        await this.person.restPointer();
        await row.hover();
        await row.getByRole("button", { name }).click({ timeout: 3000 });
        return;
      } catch (error) {
        // A row that comes above moves it away from under the mouse. A click that timed out has not been made.
        if (tries === 5) {
          throw error;
        }
      }
    }
  }

  /** Rests the mouse on a row until its tooltip comes up, and reads that. */
  async tooltip(loop: Named): Promise<string> {
    const { page } = this.person;
    const hover = page.locator(".workbench-hover").filter({ hasText: loop.device });
    return until(`the tooltip of ${loop.device}`, async () => {
      // A tree that is drawn anew under the mouse forgets that it was there.
      await page.mouse.move(900, 500);
      await this.row(loop).locator(".label-name").hover();
      await hover.waitFor({ timeout: 2000 });
      return hover.innerText();
    });
  }

  /** Presses one of the icons in the view's title. */
  async pressTitle(name: string): Promise<void> {
    const title = this.person.page.locator(".sidebar .composite.title");
    await title.hover();
    await title.getByRole("button", { name }).click();
  }

  /** The loop devices at the top, as the rows' labels say. */
  async names(): Promise<string[]> {
    const rows = this.person.page.locator('.sidebar [role="treeitem"][aria-level="1"] .label-name');
    return (await rows.allInnerTexts()).map((text) => text.trim()).filter((name) => /^loop\d+$/.test(name));
  }

  /** What stands above the tree. */
  message(): Locator {
    return this.person.page.locator(".tree-explorer-viewlet-tree-view .message");
  }

  welcome(): Locator {
    return this.person.page.locator(".sidebar .welcome-view-content");
  }

  /** Waits for a passing word in the status bar. */
  async status(text: RegExp): Promise<void> {
    await this.person.page.locator(".statusbar .statusbar-item").filter({ hasText: text }).first().waitFor();
  }

  /** Waits until the tree shows just what losetup does. */
  async untilAgrees(loops: () => Loop[]): Promise<void> {
    const sorted = (names: string[]) => names.sort().join(" ");
    await until("the tree to agree with losetup", async () => {
      const expected = sorted(loops().map(({ device }) => basename(device)));
      const shown = sorted(await this.names());
      if (shown !== expected) {
        throw new Error(`the tree shows “${shown}”, losetup “${expected}”`);
      }
      return true;
    });
  }
}
