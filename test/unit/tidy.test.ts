/* What answers leave behind is collected soon after them, and while nobody waits for an answer. */
import assert from "node:assert/strict";
import { constants, PerformanceObserver } from "node:perf_hooks";
import { it, mock } from "node:test";
import { Tidying } from "../../helper/tidy";

it("collects once, a while after the last request, and not while another one is under way", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  let collected = 0;
  const observer = new PerformanceObserver((list) => {
    for (const { detail } of list.getEntries() as unknown as { detail: { flags: number } }[]) {
      collected += detail.flags & constants.NODE_PERFORMANCE_GC_FLAGS_FORCED ? 1 : 0;
    }
  });
  observer.observe({ entryTypes: ["gc"] });
  const collections = async () => {
    // It is told of in a turn of its own.
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    return collected;
  };
  const tidying = new Tidying();
  assert.equal(await tidying.after(async () => "answer"), "answer");
  let end = () => {};
  const other = tidying.after(() => new Promise<void>((resolve) => (end = resolve)));
  mock.timers.tick(60_000);
  assert.equal(await collections(), 0);
  end();
  await other;
  mock.timers.tick(500);
  await assert.rejects(
    tidying.after(() => Promise.reject(new Error("refused"))),
    /refused/,
  );
  mock.timers.tick(4999);
  assert.equal(await collections(), 0);
  mock.timers.tick(1);
  assert.equal(await collections(), 1);
  mock.timers.tick(60_000);
  assert.equal(await collections(), 1);
  observer.disconnect();
});
