/* How devices, partitions and mounts stand on each other, as a tree of items. */
import type { Device, Partition } from "../../helper/protocol";
import { DeviceItem, type Item, MountItem, PartitionItem } from "./items";

/** The top of the tree: the devices that stand on none of the others, each with all that stands on it. */
export function buildTree(devices: readonly Device[]): DeviceItem[] {
  const byNode = new Map(devices.map((device) => [device.device, device]));
  const held = new Set(devices.flatMap(holdersOf).filter((node) => byNode.has(node)));

  function deviceItem(device: Device, parentId: string, above: ReadonlySet<string>): DeviceItem {
    const id = `${parentId}${device.device}#${device.diskSequence}`;
    const path = new Set([...above, device.device]);
    return new DeviceItem(
      device,
      [
        ...device.partitions.map((partition) => partitionItem(device, partition, id, path)),
        ...device.mounts.map((mount) => new MountItem(mount, id)),
        ...holderItems(device.holders, id, path),
      ],
      parentId,
    );
  }

  function partitionItem(
    disk: Device,
    partition: Partition,
    parentId: string,
    above: ReadonlySet<string>,
  ): PartitionItem {
    const id = `${parentId}/${partition.device}@${partition.start}`;
    return new PartitionItem(
      partition,
      [...partition.mounts.map((mount) => new MountItem(mount, id)), ...holderItems(partition.holders, id, above)],
      parentId,
      disk,
    );
  }

  // The kernel lets nothing stand on itself; a list taken while things move could look as if.
  function holderItems(holders: string[], parentId: string, above: ReadonlySet<string>): Item[] {
    return holders.flatMap((node) => {
      const holder = byNode.get(node);
      return holder && !above.has(node) ? [deviceItem(holder, `${parentId}/`, above)] : [];
    });
  }

  return devices.filter(({ device }) => !held.has(device)).map((device) => deviceItem(device, "", new Set()));
}

function holdersOf(device: Device): string[] {
  return [...device.holders, ...device.partitions.flatMap(({ holders }) => holders)];
}
