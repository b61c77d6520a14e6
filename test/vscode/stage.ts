/* What stands around tests that a person makes: images, a VS Code with the extension, a window on them; all of it goes. */
import assert from "node:assert/strict";
import test, { after, afterEach, before } from "node:test";
import { Workshop } from "../images";
import { DevicesView } from "./devices-view";
import { releaseAllUnder } from "./loops";
import { loadServe, type Person, packaged, ROOMY, type Seat, type Served, takeSeat } from "./seat";

/** VS Code's own delay: in tests, nothing comes up where the mouse rests, unless they ask for it by this setting. */
export const WITH_TOOLTIPS = { "workbench.hover.delay": 500 };

export interface Stage {
  readonly shop: Workshop;
  readonly served: Served;
  readonly seat: Seat;
  readonly view: DevicesView;
  /** One errand; where it fails there is a screenshot. */
  errand(title: string, body: (person: Person) => Promise<void>): void;
}

/**
 * Sets the stage for the tests of a file, with hooks of the test runner.
 *
 * @param name of the folder with screenshots of failures
 * @param prepare makes the images that the window's folder has in it
 * @param settings of VS Code, beside those that keep it quiet
 */
export function setStage(
  name: string,
  prepare: (shop: Workshop) => void,
  { settings, viewport = ROOMY }: { settings?: Record<string, unknown>; viewport?: typeof ROOMY } = {},
): Stage {
  const shop = new Workshop();
  let served: Served | undefined;
  let seat: Seat | undefined;
  let view: DevicesView | undefined;

  before(async () => {
    prepare(shop);
    const { serve } = await loadServe();
    served = await serve({ ...(await packaged()), ...(settings && { settings }) });
    seat = await takeSeat(served, name, { folder: shop.folder, viewport });
    view = new DevicesView(seat.person);
  });

  afterEach(async () => {
    await releaseAllUnder(shop.folder);
    await seat?.person.dismissToasts().catch(() => {});
  });

  after(async () => {
    await seat?.browser.close();
    await served?.close();
    await releaseAllUnder(shop.folder);
    shop[Symbol.dispose]();
  });

  const there = <T>(thing: T | undefined): T => {
    assert.ok(thing, "VS Code isn't open yet");
    return thing;
  };
  return {
    shop,
    get served() {
      return there(served);
    },
    get seat() {
      return there(seat);
    },
    get view() {
      return there(view);
    },
    errand(title, body) {
      test(title, async () => {
        await there(seat).person.does(title, body);
      });
    },
  };
}
