import assert from "node:assert/strict";
import { it } from "node:test";
import { MiB } from "../images";
import { attached, Scene } from "./scene";

it("helper/info tells how many devices would go with the helper", async () => {
  await using scene = await Scene.set();
  const holds = async () => (await scene.helper.request("helper/info", {})).holds;
  assert.equal(await holds(), 0);
  const { device } = await attached(scene.helper, { path: scene.workshop.blank("held.img", MiB), autoclear: true });
  assert.equal(await holds(), 1);
  await scene.helper.request("loop/detach", { device });
  assert.equal(await holds(), 0);
});
