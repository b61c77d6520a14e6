/* Mapper devices as /sys shows them to everybody: without their tables, which are for root to see. */
import { bytesIn, type DmName, type Sectors } from "../linux/dm";
import { devnumOf, diskFolder, holdersOf, list, readNumber, readText } from "../linux/sysfs";
import type { MapperDescription } from "./describe";
import { sequenceOf } from "./device";
import { readable } from "./names";
import { nodePath } from "./nodes";
import { isProvisional } from "./provisional";

/** All devices, but for those that a helper is just making. */
export function listMappersFromSysfs(): MapperDescription[] {
  return list("/sys/block").flatMap((disk) => (disk.startsWith("dm-") ? (describe(disk) ?? []) : []));
}

function describe(disk: string): MapperDescription | undefined {
  const folder = diskFolder(disk);
  const name = readText(`${folder}/dm/name`) as DmName | undefined;
  const devnum = devnumOf(folder);
  if (name === undefined || devnum === undefined || isProvisional(name)) {
    return undefined;
  }
  return {
    kind: "mapper",
    device: nodePath(name),
    node: `/dev/${disk}`,
    name: readable(name),
    uuid: readable(readText(`${folder}/dm/uuid`) ?? ""),
    devnum,
    diskSequence: sequenceOf(devnum),
    size: bytesIn((readNumber(`${folder}/size`) ?? 0) as Sectors),
    readOnly: readNumber(`${folder}/ro`) === 1,
    suspended: readNumber(`${folder}/dm/suspended`) === 1,
    openCount: 0,
    eventNumber: 0,
    hasInactiveTable: false,
    table: [],
    dependencies: list(`${folder}/slaves`).flatMap((name) => devnumOf(`${folder}/slaves/${name}`) ?? []),
    holders: holdersOf(folder),
  };
}

/** Whether a disk, or one that it stands on, is suspended: reading from it would wait until it is resumed. */
export function isHeldBack(disk: string): boolean {
  const folder = diskFolder(disk);
  return readNumber(`${folder}/dm/suspended`) === 1 || list(`${folder}/slaves`).some(isHeldBack);
}
