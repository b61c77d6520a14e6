/*
 * What the disk map's two sides say to each other: the host, which knows the devices, and the page, which draws them.
 * Both import this file, and check what comes by it. Sizes and starts are bytes.
 */
import * as v from "valibot";

/** What the colours and patterns tell apart. */
export const Family = v.picklist([
  "ext",
  "xfs",
  "btrfs",
  "fat",
  "ntfs",
  "swap",
  "packed",
  "crypto",
  "volume",
  "extended",
  "other",
  "empty",
  "free",
]);
export type Family = v.InferOutput<typeof Family>;

/** What a button does. The host decides which there are; the page only draws them. */
export const Deed = v.picklist([
  "attach",
  "attachAndMount",
  "detach",
  "unmountAndDetach",
  "flush",
  "mount",
  "unmount",
  "rescan",
  "showDeviceMap",
  "showImageMap",
  "retry",
]);
export type Deed = v.InferOutput<typeof Deed>;

export const Action = v.object({ deed: Deed, title: v.string() });
export type Action = v.InferOutput<typeof Action>;

/** A part of the picture. */
export interface Segment {
  /** Tells it from all others of a picture, and stays while the thing it shows stays. */
  id: string;
  /** "rest": what a container's children leave of it. It keeps them in proportion and is nothing to point at. */
  kind: "device" | "partition" | "free" | "holder" | "rest";
  family: Family;
  /** Of a partition. */
  number: number | null;
  /** Its node, "" where there is none. */
  device: string;
  /** What people call it: "loop3p1", "Partition 1", "Free space". */
  title: string;
  /** The partition's name in the table. */
  name: string;
  /** Of the file system. */
  label: string;
  content: string;
  /** What the partition table says it is for: "EFI System". */
  purpose: string;
  uuid: string;
  /** Counted from the device's start; null where that says nothing. */
  start: number | null;
  size: number;
  /** How full the file system is, where it is known. */
  used: { bytes: number; total: number } | null;
  mountedAt: string[];
  /** What is odd about it, in sentences. */
  oddities: string[];
  actions: Action[];
  children: Segment[];
}

const bytes = v.number();

export const Segment: v.GenericSchema<Segment> = v.object({
  id: v.string(),
  kind: v.picklist(["device", "partition", "free", "holder", "rest"]),
  family: Family,
  number: v.nullable(v.number()),
  device: v.string(),
  title: v.string(),
  name: v.string(),
  label: v.string(),
  content: v.string(),
  purpose: v.string(),
  uuid: v.string(),
  start: v.nullable(bytes),
  size: bytes,
  used: v.nullable(v.object({ bytes, total: bytes })),
  mountedAt: v.array(v.string()),
  oddities: v.array(v.string()),
  actions: v.array(Action),
  children: v.array(v.lazy(() => Segment)),
});

/** A word on the whole, above the map. */
export const Notice = v.object({
  level: v.picklist(["info", "warning", "error"]),
  text: v.string(),
  action: v.optional(Action),
});
export type Notice = v.InferOutput<typeof Notice>;

/** All that the page shows. Without segments, the notices say why. */
export const Picture = v.object({
  title: v.string(),
  /** The image's path. */
  path: v.string(),
  /** In a few words each: size, partition table, access. */
  facts: v.array(v.string()),
  notices: v.array(Notice),
  actions: v.array(Action),
  segments: v.array(Segment),
});
export type Picture = v.InferOutput<typeof Picture>;

/** What a map is of. It outlives the window: VS Code keeps it for the page. */
export const Target = v.variant("kind", [
  v.object({ kind: v.literal("image"), path: v.string() }),
  v.object({
    kind: v.literal("device"),
    device: v.string(),
    diskSequence: v.nullable(v.number()),
    /** For when the device is gone: "" where it stands on no image. */
    image: v.string(),
  }),
]);
export type Target = v.InferOutput<typeof Target>;

export const State = v.object({ target: Target });

export const ToPage = v.object({ type: v.literal("show"), picture: Picture, target: Target });
export type ToPage = v.InferOutput<typeof ToPage>;

export const ToHost = v.variant("type", [
  /** The page listens. */
  v.object({ type: v.literal("ready") }),
  /** A button was pressed: the whole's, or a segment's. */
  v.object({ type: v.literal("act"), deed: Deed, segment: v.optional(v.string()) }),
]);
export type ToHost = v.InferOutput<typeof ToHost>;
