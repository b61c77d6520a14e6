/* The README's pictures of single features, in the window that the tree's pictures were taken in. */
import { join } from "node:path";
import { DevicesView } from "./devices-view";
import type { Locator, Person } from "./seat";

/**
 * @param disk the name of an image with partitions
 * @param used a device that is in use
 * @param folder gets the pictures
 */
export async function takeFeatureScreenshots(
  person: Person,
  { disk, used }: { disk: string; used: { device: string; image: string } },
  folder: string,
): Promise<void> {
  const { page } = person;
  const picture = async (name: string, of: Locator) => {
    await of.screenshot({ path: join(folder, `${name}-dark.png`), animations: "disabled" });
  };

  await person.openView("Explorer");
  await person.contextMenu(person.treeItem(disk), "Attach with Options...");
  await person.quickPick("Read-Only");
  const wizard = page.locator(".quick-input-widget");
  await wizard.locator(".label-name", { hasText: "Partition 2" }).waitFor();
  await picture("attach-with-options", wizard);
  await page.keyboard.press("Escape");

  const view = new DevicesView(person);
  await view.open();
  await person.palette("Diskloom: Detach");
  await person.quickPick(used.device.replace("/dev/", ""));
  await person.toast("is in use");
  await picture("busy", page.locator(".notifications-toasts .notification-toast").first());
  await person.dismissToasts();

  await person.contextMenu(view.row(used), "Properties");
  await page.setViewportSize({ width: 1500, height: 820 });
  const editor = page.locator(".part.editor");
  await editor.locator(".view-lines").getByText(used.image).first().waitFor();
  await picture("properties", editor);
}
