/* What is in an image that isn't attached. */
import { TestHelper } from "../helper";
import { MiB, type Workshop } from "../images";
import { sideBySide } from "./measure";
import { spawned } from "./peers";
import type { Row } from "./table";

const FILE_SYSTEMS = ["ext4", "vfat", "squashfs", "erofs"] as const;

export async function inspect(place: Workshop): Promise<Row> {
  const size = 8;
  const script = FILE_SYSTEMS.map((_, index) => `start=${1 + index * size}MiB, size=${size}MiB`);
  const path = place.disk("gpt.img", 64 * MiB, ["label: gpt", ...script, ""].join("\n"));
  FILE_SYSTEMS.forEach((type, index) => {
    place.put(path, (1 + index * size) * MiB, place.fileSystem(type));
  });
  await using helper = await TestHelper.start();
  const { ours, theirs } = await sideBySide(100, {
    async ours() {
      const { partitions } = await helper.request("image/inspect", { path });
      if (!partitions.every(({ content }, index) => content.type === FILE_SYSTEMS[index])) {
        throw new Error("The file systems were not found.");
      }
      return undefined;
    },
    async theirs() {
      await spawned("blkid", "-p", path);
      await spawned("sfdisk", "--json", path);
      return undefined;
    },
  });
  return {
    what: "inspect a GPT image with four file systems",
    ours,
    against: "blkid -p, sfdisk --json",
    theirs,
    aim: { timesFaster: 4 },
  };
}
