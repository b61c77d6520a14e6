/* The list of very many devices: until the helper's answer has come in, and until the extension has made it its own. */
import * as v from "valibot";
import { requests } from "../../helper/protocol";
import { TestHelper } from "../helper";
import type { Workshop } from "../images";
import { ManyDevices } from "./many";
import { sideBySide, summarise } from "./measure";
import { besideBareNode } from "./memory";
import { spawned } from "./peers";
import type { Row } from "./table";

const DEVICES = 1024;

export async function listMany(place: Workshop): Promise<Row[]> {
  await using helper = await TestHelper.start();
  await using _devices = await ManyDevices.attach(DEVICES, place);
  let arrived = 0;
  // Before the client looks at it.
  helper.process.stdout?.prependListener("data", () => {
    arrived = performance.now();
  });
  const helperSide: number[] = [];
  const { extension, losetup, lsblk } = await sideBySide(12, {
    async extension() {
      const begun = performance.now();
      const answer = await helper.connection.sendRequest("devices/list", {});
      helperSide.push(arrived - begun);
      // What a Session does with every answer.
      const { devices } = v.parse(requests["devices/list"].result, answer);
      if (devices.length < DEVICES) {
        throw new Error(`Only ${devices.length} devices were listed.`);
      }
      return undefined;
    },
    async losetup() {
      await spawned("losetup", "--list", "--json");
      return undefined;
    },
    async lsblk() {
      await spawned("lsblk", "--json");
      return undefined;
    },
  });
  const ours = summarise(helperSide.slice(1));
  const what = `devices/list of ${DEVICES} loop devices`;
  const memory = await besideBareNode(helper.process.pid);
  return [
    {
      what: `${what}, helper's side`,
      ours,
      against: "losetup --list --json",
      theirs: losetup,
      aim: { timesFaster: 8 },
    },
    {
      what: `${what}, until the extension has the objects`,
      ours: extension,
      against: "lsblk --json",
      theirs: lsblk,
      aim: { timesFaster: 4 },
    },
    {
      what: `helper's memory (PSS) with ${DEVICES} devices`,
      ...memory,
      unit: "MiB",
      against: "bare node",
      aim: { more: 24 },
    },
  ];
}
