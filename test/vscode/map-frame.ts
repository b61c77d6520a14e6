/* The page of a disk map: a frame within frames, and what VS Code calls it depends on how it was opened. */
import type { Person } from "./seat";
import { until } from "./until";

export type Page = ReturnType<Person["page"]["mainFrame"]>;

/** How often in a row a frame is seen until it is taken for the one that stays. */
const SETTLED = 10;

/** The map that is in front, by its heading. */
export async function mapFrame(person: Person, name: string): Promise<Page> {
  let seen: Page | undefined;
  let times = 0;
  return until(`the map of ${name}`, async () => {
    const found = await frameOf(person, name);
    // VS Code puts a frame in the place of another while a view opens.
    times = found && found === seen ? times + 1 : 1;
    seen = found;
    return times >= SETTLED ? found : undefined;
  });
}

async function frameOf({ page }: Person, name: string): Promise<Page | undefined> {
  for (const frame of page.frames()) {
    // A frame may go away while it is looked at: it is not the one, then.
    const said = await frame.evaluate(() => document.querySelector("#map h1")?.textContent).catch(() => undefined);
    if (said === name && (await isInFront(frame).catch(() => false))) {
      return frame;
    }
  }
  return undefined;
}

async function isInFront(frame: Page): Promise<boolean> {
  const element = await frame.parentFrame()?.frameElement();
  return (await element?.isVisible()) === true;
}
