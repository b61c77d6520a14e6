/* Tables: between the protocol's form and the kernel's. */
import { DM_MAX_TYPE_NAME, type DmTarget, sectors } from "../linux/dm";
import { Problem } from "../problem";
import type { MapperTarget } from "../protocol";

export function fromKernel({ start, length, type, params }: DmTarget): MapperTarget {
  return { startSectors: start, lengthSectors: length, type, params };
}

/** @throws Problem invalid for what doesn't fit into the kernel's structs. Params are never named: they may hold a key */
export function toKernel({ startSectors, lengthSectors, type, params }: MapperTarget): DmTarget {
  if (!/^[!-~]+$/.test(type) || type.length >= DM_MAX_TYPE_NAME) {
    throw new Problem("invalid", `${JSON.stringify(type)} is not the name of a target.`);
  }
  if (/[\0\n]/.test(params)) {
    throw new Problem("invalid", `The parameters of the ${type} target contain a line break or a NUL.`);
  }
  return { start: sectors(startSectors), length: sectors(lengthSectors), type, params: params.trim() };
}
