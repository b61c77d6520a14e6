import { join } from "node:path";
import test, { after, before } from "node:test";
import { root } from "../helper";
import { takeOverview } from "./overview";
import { loadServe, packaged, type Served } from "./seat";

/** The picture is taken each time, to see that it can be, but changes the README's only where that is wanted. */
const FOLDER = process.env.DISKLOOM_SCREENSHOTS === "1" ? "media/screenshots" : "test/vscode/shots";

let served: Served;

before(async () => {
  const { serve } = await loadServe();
  served = await serve({ vsix: [await packaged()] });
});

after(() => served?.close());

test("an image is attached by a task, and the window with it is the README's first picture", () =>
  takeOverview(served, join(root, FOLDER)));
