import assert from "node:assert/strict";
import { loopOf, loopsUnder } from "../loops";
import { attach, detach, workshop } from "./place";
import { allMessages, itemOf, untilGone } from "./window";

const CYCLES = 100;

describe("A hundred times attach and detach", () => {
  const shop = workshop();

  it("leave as many loop devices bound as before", async function () {
    this.timeout(120_000);
    const image = shop().fileSystem("ext4", "cycle");
    const before = loopsUnder(shop().folder).length;
    for (let cycle = 1; cycle <= CYCLES; cycle++) {
      await attach(image);
      const item = await itemOf(image);
      await detach(item);
      // Else the next look at the tree could still find this one.
      await untilGone(image);
      if (cycle % 10 === 0) {
        assert.equal(loopOf(image), undefined, `still there after ${cycle} times`);
      }
    }
    assert.equal(loopsUnder(shop().folder).length, before);
    assert.equal(allMessages().length, CYCLES);
    assert.ok(allMessages().every(({ kind }) => kind === "information"));
  });
});
