import assert from "node:assert/strict";
import { loopOf, loopsUnder } from "../loops";
import { attach, detach, workshop } from "./place";
import { allMessages, willPick } from "./window";

const CYCLES = 100;

describe("A hundred times attach and detach", () => {
  const shop = workshop();

  it("leave as many loop devices bound as before", async function () {
    this.timeout(240_000);
    const image = shop().fileSystem("ext4", "cycle");
    const before = loopsUnder(shop().folder).length;
    willPick(image);
    for (let cycle = 1; cycle <= CYCLES; cycle++) {
      await attach(image);
      await detach(undefined);
      assert.deepEqual(
        allMessages().filter(({ kind }) => kind !== "information"),
        [],
      );
      if (cycle % 10 === 0) {
        assert.equal(loopOf(image), undefined, `still there after ${cycle} times`);
      }
    }
    assert.equal(loopsUnder(shop().folder).length, before);
    assert.equal(allMessages().length, CYCLES);
    assert.ok(allMessages().every(({ kind }) => kind === "information"));
  });
});
