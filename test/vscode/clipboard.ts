import type { Person } from "./seat";

/** What was copied last. */
export async function clipboard({ page }: Person): Promise<string> {
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  return page.evaluate(() => navigator.clipboard.readText());
}
