/* How devices, partitions and mounts stand on each other, as a tree of items. */
import type { Device, Partition } from "../../helper/protocol";
import { DeviceItem, type Item, MountItem, PartitionItem } from "./items";

/** An item at the top, and the devices that it was made of: its own, and those that stand on it. */
interface Shown {
  item: DeviceItem;
  devices: readonly Device[];
}

/** The tree as it is drawn: what has not changed stays the same item. */
export class DeviceTree {
  items: readonly DeviceItem[] = [];
  /** By id. */
  #shown = new Map<string, Shown>();

  /**
   * @param devices those that have not changed are the same objects as before
   * @returns the items that have changed; undefined where those at the top aren't the same any more
   */
  update(devices: readonly Device[]): DeviceItem[] | undefined {
    const { top, devicesOn, build } = standing(devices);
    const shown = new Map<string, Shown>();
    const changed: DeviceItem[] = [];
    const items = top.map((device) => {
      const id = idOf(device);
      const madeOf = devicesOn(device);
      const before = this.#shown.get(id);
      const isSame = before?.devices.length === madeOf.length && before.devices.every((one, n) => one === madeOf[n]);
      let item = before?.item;
      if (!item) {
        item = build(device);
      } else if (!isSame) {
        // VS Code draws an item anew only if it is the object that it was given.
        Object.assign(item, build(device));
        changed.push(item);
      }
      shown.set(id, { item, devices: madeOf });
      return item;
    });
    const isSameTop = items.length === this.items.length && items.every((item, n) => item === this.items[n]);
    this.items = items;
    this.#shown = shown;
    return isSameTop ? changed : undefined;
  }
}

/** The top of the tree: the devices that stand on none of the others, each with all that stands on it. */
export function buildTree(devices: readonly Device[]): DeviceItem[] {
  const { top, build } = standing(devices);
  return top.map(build);
}

/** Which of the devices stand on none of the others, and how the others stand on them. */
function standing(devices: readonly Device[]) {
  const byNode = new Map(devices.map((device) => [device.device, device]));
  const held = new Set(devices.flatMap(holdersOf).filter((node) => byNode.has(node)));

  function devicesOn(device: Device, above: ReadonlySet<string>): Device[] {
    const path = new Set([...above, device.device]);
    return [
      device,
      ...holdersOf(device).flatMap((node) => {
        const holder = byNode.get(node);
        return holder && !path.has(node) ? devicesOn(holder, path) : [];
      }),
    ];
  }

  function deviceItem(device: Device, parentId: string, above: ReadonlySet<string>): DeviceItem {
    const id = `${parentId}${idOf(device)}`;
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

  return {
    top: devices.filter(({ device }) => !held.has(device)),
    /** A device and all that stand on it, in one order. */
    devicesOn: (device: Device) => devicesOn(device, new Set()),
    build: (device: Device) => deviceItem(device, "", new Set()),
  };
}

/** As DeviceItem has it at the top. */
function idOf(device: Device): string {
  return `${device.device}#${device.diskSequence}`;
}

function holdersOf(device: Device): string[] {
  return [...device.holders, ...device.partitions.flatMap(({ holders }) => holders)];
}
