/*
 * What Diskloom offers to other extensions, as types. Copy this file into yours: it needs nothing else of Diskloom.
 *
 *   const diskloom = vscode.extensions.getExtension<DiskloomApi>("diskloom.diskloom");
 *   const api = await diskloom?.activate();
 *   const device = await api?.attach("/home/me/rootfs.img", { readOnly: true });
 *
 * Requests are treated as the user's own commands are: the helper becomes root in the way that the user has chosen, and
 * the user is asked for a password where that takes one, and before a device that somebody else set up is changed. In a
 * workspace that isn't trusted, only list() and the event work. Sizes and offsets are bytes.
 */
import type { Event } from "vscode";

export interface DiskloomApi {
  /** Changes when something goes or means something else. What is only added is there to be looked for. */
  readonly version: 1;

  /**
   * Attaches an image to a free loop device. Partitions are there when it returns.
   * @param path absolute, on the machine that this VS Code's extensions run on
   * @throws DiskloomError
   */
  attach(path: string, options?: AttachOptions): Promise<LoopDevice>;

  /**
   * Detaches a device.
   * @param device as attach() or list() returned it; it is refused as "stale" if its node has another image by now. Or
   * a node, such as "/dev/loop3", whatever is attached to it.
   * @returns "pending" where it will be gone with its last user: with `whenBusy: "later"` only
   * @throws DiskloomError
   */
  detach(device: LoopDevice | string, options?: DetachOptions): Promise<"detached" | "pending">;

  /**
   * The loop devices that have an image, whoever attached it. Needs no root.
   * @throws DiskloomError
   */
  list(): Promise<LoopDevice[]>;

  /**
   * Devices have come or gone, or what is on them or mounted from them has changed, whoever did it. At most one in
   * 50 ms; list() tells how things are now.
   */
  readonly onDidChangeDevices: Event<void>;
}

export interface AttachOptions {
  /** Left out: for writing where the user may write to the image, else for reading only. */
  readOnly?: boolean | undefined;
  /** Where in the image the device begins. */
  offset?: number | undefined;
  /** How much of the image it shows; left out: up to the end. */
  sizeLimit?: number | undefined;
  /** Left out: by what is in the image, else 512. */
  sectorSize?: 512 | 1024 | 2048 | 4096 | undefined;
  /** Where the same part of the image is attached in the same way already, that device is returned. */
  share?: boolean | undefined;
}

export interface DetachOptions {
  /**
   * What becomes of a device that is in use. "refuse", which is the default: nothing, it is an error. "unmount": all
   * that is mounted of it is unmounted, or nothing is. "later": it goes when its last user does.
   */
  whenBusy?: "refuse" | "unmount" | "later" | undefined;
}

export interface LoopDevice {
  /** Its node, such as "/dev/loop3". */
  readonly path: string;
  /** The kernel's number for this attachment, which no other has had or will have; `null` before Linux 5.15. */
  readonly sequence: number | null;
  readonly image: string;
  /** The image was deleted, or another file stands at its path now. */
  readonly imageDeleted: boolean;
  readonly size: number;
  readonly sectorSize: number;
  readonly offset: number;
  /** 0: up to the end of the image. */
  readonly sizeLimit: number;
  readonly readOnly: boolean;
  readonly content: Content;
  /** Where it is mounted. */
  readonly mounts: readonly string[];
  readonly partitions: readonly Partition[];
}

export interface Partition {
  /** Its node, such as "/dev/loop3p1". */
  readonly path: string;
  readonly number: number;
  /** From the beginning of the device. */
  readonly start: number;
  readonly size: number;
  /** As the partition table has it; often empty. */
  readonly name: string;
  readonly content: Content;
  readonly mounts: readonly string[];
}

/** What is on a device or partition. */
export interface Content {
  readonly kind: "empty" | "filesystem" | "partitionTable" | "raid" | "crypto" | "other";
  /** As blkid(8) calls it, "ext4" or "gpt" for example; empty where it isn't known or couldn't be read. */
  readonly type: string;
  readonly label: string;
  readonly uuid: string;
}

/** What is thrown. The message is a sentence for the user, with what can be done about it. */
export interface DiskloomError extends Error {
  readonly code: ErrorCode;
  /** The node of the device that it is about, for "overlap" that of the one that has the image. */
  readonly device?: string | undefined;
}

export type ErrorCode =
  /** Root is needed and can't be had: the workspace isn't trusted, or there is no way to become root. */
  | "notPrivileged"
  /** The user's own rights, or the container's, don't reach that far. */
  | "notPermitted"
  /** There is no such image or device. */
  | "notFound"
  /** A path, size or option that can't be, a folder for example. */
  | "invalid"
  /** Somebody uses the device. The message names whoever does. */
  | "busy"
  /** The image is attached already. */
  | "overlap"
  /** The device's node has another image, or none, by now. */
  | "stale"
  /** This machine can't: it isn't Linux, or there are no loop devices. */
  | "unsupported"
  /** Anything else that the kernel said. */
  | "kernel"
  /** The user has cancelled it. Nothing was changed. */
  | "cancelled";
