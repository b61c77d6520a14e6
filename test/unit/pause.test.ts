import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { describe, it } from "node:test";
import { Cancelled, poll } from "../../helper/pause";

describe("polling", () => {
  it("goes on until there is nothing to wait for, and leaves nothing behind", async () => {
    const { signal } = new AbortController();
    let tries = 0;
    await poll(() => (++tries < 5 ? 1 : undefined), signal);
    assert.equal(tries, 5);
    assert.equal(getEventListeners(signal, "abort").length, 0);
  });

  it("ends with what the attempt throws, the first and any later", async () => {
    const { signal } = new AbortController();
    for (const fatal of [1, 3]) {
      let tries = 0;
      const attempt = () => {
        if (++tries === fatal) {
          throw new Error(`at ${fatal}`);
        }
        return 1;
      };
      await assert.rejects(poll(attempt, signal), { message: `at ${fatal}` });
      assert.equal(tries, fatal);
    }
    assert.equal(getEventListeners(signal, "abort").length, 0);
  });

  it("ends as soon as it is cancelled, and doesn't try again", async () => {
    const controller = new AbortController();
    let tries = 0;
    const polling = poll(() => {
      tries++;
      return 3_600_000;
    }, controller.signal);
    controller.abort();
    await assert.rejects(polling, Cancelled);
    assert.equal(tries, 1);
    await assert.rejects(
      poll(() => 1, controller.signal),
      Cancelled,
      "cancelled before",
    );
  });
});
