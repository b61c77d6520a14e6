/* What most tests of the loop engine need: images of their own, a helper, and nothing left of either afterwards. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { ResponseError } from "vscode-jsonrpc/node";
import type { LoopDevice, Params, ProblemData, Reason, Result } from "../../helper/protocol";
import { type StartOptions, TestHelper } from "../helper";
import { run, Workshop } from "../images";
import { releaseImagesIn } from "../tools/release.mjs";

/** Shortened for development: not what the issue asks for. */
export const quick = process.env.DISKLOOM_QUICK !== undefined;

/** The loop devices whose image is in this folder, deleted images included. */
export function boundIn(folder: string): string[] {
  return readdirSync("/sys/block")
    .filter((name) => name.startsWith("loop"))
    .filter((name) => imageOf(`/dev/${name}`)?.startsWith(`${folder}/`))
    .map((name) => `/dev/${name}`)
    .sort();
}

/** The image of a device as /sys shows it; undefined where it isn't bound. */
export function imageOf(device: string): string | undefined {
  try {
    return readFileSync(`/sys/block/${device.slice(5)}/loop/backing_file`, "utf8").trimEnd();
  } catch {
    return undefined;
  }
}

/** A file of a device's folder in /sys. */
export function sys(device: string, file: string): string {
  return readFileSync(`/sys/class/block/${device.slice(5)}/${file}`, "utf8").trim();
}

/** The names of the partitions that the kernel knows of a device. */
export function partitionsOf(device: string): string[] {
  const name = device.slice(5);
  return existsSync(`/sys/block/${name}`)
    ? readdirSync(`/sys/block/${name}`).filter((entry) => entry.startsWith(`${name}p`))
    : [];
}

/** Images, a helper and what they became: all of it goes at the end, and what stands on it, by the identity of the images. */
export class Scene implements AsyncDisposable {
  readonly workshop = new Workshop();
  readonly #helpers: TestHelper[] = [];

  private constructor() {}

  static async set(options: StartOptions = {}): Promise<Scene & { helper: TestHelper }> {
    const scene = new Scene();
    return Object.assign(scene, { helper: await scene.helperWith(options) });
  }

  get folder(): string {
    return this.workshop.folder;
  }

  async helperWith(options: StartOptions = {}): Promise<TestHelper> {
    const helper = await TestHelper.start(options);
    this.#helpers.push(helper);
    return helper;
  }

  /** The devices that show our images. */
  bound(): string[] {
    return boundIn(this.folder);
  }

  /** Mounts a device or image file in a folder of ours. */
  mount(source: string, name: string, ...options: string[]): string {
    const target = this.workshop.path(name);
    run("mkdir", ["-p", target]);
    run("mount", [...options, source, target]);
    return target;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#helpers.map((helper) => helper[Symbol.asyncDispose]()));
    await releaseImagesIn(this.folder);
    this.workshop[Symbol.dispose]();
  }
}

/** Attaches by the helper and answers with the device. */
export async function attached(helper: TestHelper, params: Params<"loop/attach">): Promise<LoopDevice> {
  return (await helper.request("loop/attach", params)).device;
}

/**
 * Detaches a device that many others take their turns beside. Where there is udev it has its turn, too, of the guest's
 * one processor, and the device open or locked for longer than a helper waits: what is refused by that is asked for again.
 */
export async function detachedAmidOthers(
  helper: TestHelper,
  params: Params<"loop/detach">,
): Promise<Result<"loop/detach">> {
  for (let tries = 1; ; tries++) {
    try {
      return await helper.request("loop/detach", params);
    } catch (error) {
      if (!process.env.DISKLOOM_GUEST || tries === 10) {
        throw error;
      }
      problem("busy")(error);
    }
  }
}

/** For assert.rejects: a problem of this kind, and more of it where that matters. */
export function problem(reason: Reason, more: Partial<ProblemData> & { says?: RegExp } = {}): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof ResponseError, `not a refusal: ${error}`);
    assert.equal(error.code, 1, error.message);
    const { says, ...data } = more;
    assert.deepEqual({ ...error.data, ...data, reason }, error.data, `${error.message} ${JSON.stringify(error.data)}`);
    if (says) {
      assert.match(error.message, says);
    }
    return true;
  };
}

/** For assert.rejects: JSON-RPC's own code for bad params, naming the field. */
export function badParams(path: string): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof ResponseError, `not a refusal: ${error}`);
    assert.equal(error.code, -32602, error.message);
    assert.equal((error.data as ProblemData).reason, "invalid");
    assert.equal((error.data as ProblemData).path, path);
    return true;
  };
}

/** Waits until something is so. */
export async function until(condition: () => boolean | Promise<boolean>, what: string, limit = 30_000): Promise<void> {
  const end = performance.now() + limit;
  while (!(await condition())) {
    assert.ok(performance.now() < end, `still not so after ${limit} ms: ${what}`);
    await sleep(5);
  }
}

/** Whether a deed of others' tools comes off, of which `until` can ask again. */
export function succeeds(deed: () => unknown): boolean {
  try {
    deed();
    return true;
  } catch {
    return false;
  }
}

/**
 * Where there is udev, in the guest, waits until it has looked at all that has happened. Until then it opens every device
 * that was attached, detached or written to; and it has the kernel read the table of a disk anew that was open for
 * writing, as attaching does: for a moment the disk's partitions are gone then, and what was cached of it.
 */
export function letUdevLook(): void {
  if (process.env.DISKLOOM_GUEST) {
    run("udevadm", ["settle"]);
  }
}

/**
 * Has the kernel forget the devices of an unmounted file system, which it remembers, and goes on using as long as a mount
 * namespace that somebody has made meanwhile has a copy of the mount.
 */
export async function forgetBtrfsOn(devices: readonly string[]): Promise<void> {
  await until(() => succeeds(() => run("btrfs", ["device", "scan", "--forget", ...devices])), "let go of by btrfs");
}

/** Bytes that are different at every place, and in every image. */
export function pattern(size: number, seed: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at + 8 <= size; at += 8) {
    bytes.writeUInt32LE(seed, at);
    bytes.writeUInt32LE(at, at + 4);
  }
  return bytes;
}
