import assert from "node:assert/strict";
import { basename } from "node:path";
import type { DeviceItem } from "../../../extension/devices/items";
import { MiB } from "../../images";
import { loopOf, losetup, losetupDetach } from "../loops";
import { until } from "../until";
import { attached, detach, flush, workshop } from "./place";
import { itemOf, messageLike } from "./window";

describe("A device that was recycled between the click and the request", () => {
  const shop = workshop();

  for (const [name, deed] of [
    ["detach", detach],
    ["flush", flush],
  ] as const) {
    it(`is not touched by ${name}`, async () => {
      const { seen, device, other } = await recycled(name);
      await deed(seen);
      const { kind } = await messageLike(
        new RegExp(`^${device} has been detached or attached anew since\\. Nothing was changed\\.$`),
      );
      assert.equal(kind, "error");
      assert.equal(loopOf(other)?.device, device, `${basename(other)} was taken off`);
    });
  }

  /** What a person sees and clicks on, while its device has got another image. */
  async function recycled(name: string): Promise<{ seen: DeviceItem; device: string; other: string }> {
    const image = shop().blank(`${name}-seen.img`, MiB);
    const other = shop().blank(`${name}-other.img`, MiB);
    return until("a device to recycle", async () => {
      const device = await attached(image);
      const seen = await itemOf(image);
      await losetupDetach({ device, image });
      // Fails where somebody else on this machine is quicker: then it is another device's turn.
      losetup(other, device);
      return { seen, device, other };
    });
  }

  it("that is gone altogether is said to be", async () => {
    const image = shop().blank("gone.img", MiB);
    const device = await attached(image);
    const seen = await itemOf(image);
    await losetupDetach({ device, image });
    await detach(seen);
    await messageLike(new RegExp(`^${device} has been detached or attached anew since\\.`));
  });
});
