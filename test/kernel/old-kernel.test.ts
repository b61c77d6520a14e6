import assert from "node:assert/strict";
import { readFileSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import koffi from "koffi";
import * as v from "valibot";
import { describeLoop, listDevices } from "../../helper/inventory";
import { isErrno, KernelError } from "../../helper/linux/errno";
import { O_RDONLY, OpenFile, openFile } from "../../helper/linux/file";
import { type Ioctl, interposeIoctl } from "../../helper/linux/libc";
import { LO_FLAGS_AUTOCLEAR, LOOP_CONTROL } from "../../helper/linux/loop";
import { attach } from "../../helper/loop/attach";
import { forgetKernel, isConfigureUsable } from "../../helper/loop/configure";
import { detach } from "../../helper/loop/detach";
import { Problem } from "../../helper/problem";
import { type CheckedParams, type Params, type Reason, requests } from "../../helper/protocol";
import { KiB, MiB, run } from "../images";
import { pattern, Scene, sys, until } from "./scene";

const root = { uid: 0, gid: 0, groups: [], name: "root" };
const noWork = { signal: new AbortController().signal, report() {} };

/** What the fake answers to an ioctl: an error's name, other bytes to pass on, or nothing to leave it to the kernel. */
type Answer = string | Uint8Array | undefined;

/** Plays a kernel for as long as it lives, and takes down what was asked of it. */
class Kernel implements Disposable {
  readonly calls: string[] = [];
  readonly ioctls: Ioctl[] = [];
  readonly #layer: Disposable;

  constructor(answer: (ioctl: Ioctl, count: number) => Answer) {
    const counts = new Map<string, number>();
    const play = <T>(ioctl: Ioctl, pass: (ioctl: Ioctl) => T): T => {
      const [name] = ioctl.what;
      const count = (counts.get(name) ?? 0) + 1;
      counts.set(name, count);
      this.calls.push(name);
      this.ioctls.push({
        ...ioctl,
        argument: ioctl.argument instanceof Uint8Array ? Uint8Array.from(ioctl.argument) : ioctl.argument,
      });
      const said = answer(ioctl, count);
      if (typeof said === "string") {
        throw new KernelError(said, ...ioctl.what);
      }
      return pass(said ? { ...ioctl, argument: said } : ioctl);
    };
    this.#layer = interposeIoctl((below) => ({
      sync: (ioctl) => play(ioctl, (passed) => below.sync(passed)),
      async: async (ioctl) => play(ioctl, (passed) => below.async(passed)),
    }));
  }

  count(name: string): number {
    return this.calls.filter((call) => call === name).length;
  }

  [Symbol.dispose](): void {
    this.#layer[Symbol.dispose]();
  }
}

const isConfigure = ({ what }: Ioctl) => what[0] === "LOOP_CONFIGURE";
// struct loop_config: fd, block_size, then struct loop_info64 with lo_sizelimit at 32 and lo_flags at 52.
const AT = { fd: 0, blockSize: 4, sizeLimit: 8 + 32, flags: 8 + 52 };
const FLAGS_IN_STATUS = 52;

function changed(argument: Ioctl["argument"], change: (bytes: Buffer) => void): Uint8Array {
  assert.ok(argument instanceof Uint8Array);
  const bytes = Buffer.from(argument);
  change(bytes);
  return bytes;
}

describe("kernels that aren't at hand", { concurrency: false }, () => {
  let scene: Awaited<ReturnType<typeof Scene.set>>;
  let path = "";
  /** The one device that a test leaves to be cleaned up. */
  let mounted = "";
  before(async () => {
    scene = await Scene.set();
    path = scene.workshop.path("image.img");
    writeFileSync(path, pattern(MiB, 1));
  });
  afterEach(async () => {
    forgetKernel();
    try {
      // A lister that has a device open just when it is given up keeps it for that moment.
      await until(() => scene.bound().every((device) => device === mounted), "nothing left");
    } finally {
      mounted = "";
      for (const device of scene.bound().reverse()) {
        await scene.helper.request("loop/detach", { device, whenBusy: "unmount" });
      }
    }
  });
  after(() => scene[Symbol.asyncDispose]());

  const attached = async (wish: Partial<Params<"loop/attach">> = {}) =>
    (
      await attach(
        v.parse(requests["loop/attach"].params, { path, ...wish }) as CheckedParams<"loop/attach">,
        root,
        noWork,
        describeLoop,
      )
    ).device;
  const detached = (device: string) =>
    detach(v.parse(requests["loop/detach"].params, { device }) as CheckedParams<"loop/detach">, root, noWork);
  const refused =
    (reason: Reason, more: object = {}) =>
    (error: unknown) => {
      assert.ok(error instanceof Problem, `${error}`);
      assert.deepEqual({ ...error.data, ...more, reason }, error.data);
      return true;
    };

  for (const errno of ["EINVAL", "ENOTTY"]) {
    it(`before 5.8 (${errno}): the old way, with all that was asked, and it is remembered`, async () => {
      using kernel = new Kernel((ioctl) => (isConfigure(ioctl) ? errno : undefined));
      const wish = {
        offset: 4 * KiB,
        sizeLimit: 64 * KiB,
        sectorSize: 4096 as const,
        directIo: true,
        reference: "old",
      };
      const device = await attached(wish);
      assert.deepEqual(
        [device.offset, device.sizeLimit, device.sectorSize, device.directIo, device.reference, device.autoclear],
        [4 * KiB, 64 * KiB, 4096, true, "old", false],
      );
      assert.equal(device.partitionScan, true);
      assert.ok(readFileSync(device.device).equals(pattern(MiB, 1).subarray(4 * KiB, 68 * KiB)));
      const way = kernel.calls.filter((call) => /^(LOOP_(CONFIGURE|SET)|BLKFLSBUF)/.test(call));
      assert.deepEqual(way, [
        "LOOP_CONFIGURE",
        "LOOP_CONFIGURE",
        "LOOP_SET_FD",
        "LOOP_SET_STATUS64",
        "BLKFLSBUF",
        "LOOP_SET_BLOCK_SIZE",
        "LOOP_SET_DIRECT_IO",
        "LOOP_SET_STATUS64",
      ]);
      const [first, last] = kernel.ioctls
        .filter(({ what }) => what[0] === "LOOP_SET_STATUS64")
        .map(({ argument }) => Buffer.from(argument as Uint8Array).readUInt32LE(FLAGS_IN_STATUS));
      assert.equal(first, 4 | 8, "with autoclear from the first, and only what can be set");
      assert.equal(last, 8, "autoclear dropped last");
      assert.equal(isConfigureUsable(), false);
      await detached(device.device);

      await detached((await attached()).device);
      assert.equal(kernel.count("LOOP_CONFIGURE"), 2, "not asked again");
      // 512-byte sectors, no offset: nothing of that needs a call.
      assert.equal(kernel.count("LOOP_SET_BLOCK_SIZE"), 1);
    });
  }

  it("a bad request is not taken for an old kernel", async () => {
    using kernel = new Kernel((ioctl) =>
      isConfigure(ioctl) && Buffer.from(ioctl.argument as Uint8Array).readInt32LE(AT.fd) >= 0 ? "EINVAL" : undefined,
    );
    await assert.rejects(attached(), refused("invalid", { errno: "EINVAL", call: "LOOP_CONFIGURE" }));
    assert.equal(isConfigureUsable(), true);
    assert.equal(kernel.count("LOOP_SET_FD"), 0);
  });

  const forgetful: [string, (bytes: Buffer) => void][] = [
    ["the size limit", (bytes) => bytes.writeBigUInt64LE(0n, AT.sizeLimit)],
    ["the partition scan", (bytes) => bytes.writeUInt32LE(bytes.readUInt32LE(AT.flags) & ~8, AT.flags)],
    ["the block size", (bytes) => bytes.writeUInt32LE(512, AT.blockSize)],
  ];
  for (const [what, forget] of forgetful) {
    it(`LOOP_CONFIGURE that drops ${what}: that device is given up, the next one set up the old way`, async () => {
      using kernel = new Kernel((ioctl) => (isConfigure(ioctl) ? changed(ioctl.argument, forget) : undefined));
      const device = await attached({ sizeLimit: 64 * KiB, sectorSize: 2048 });
      assert.deepEqual([device.size, device.sectorSize, device.partitionScan], [64 * KiB, 2048, true]);
      assert.deepEqual([kernel.count("LOOP_CONFIGURE"), kernel.count("LOOP_SET_FD")], [1, 1]);
      assert.equal(isConfigureUsable(), false);
      await detached(device.device);
      assert.deepEqual(scene.bound(), []);
    });
  }

  it("an image that is cut short under us is a bad request, not an old kernel", async () => {
    using _kernel = new Kernel((ioctl) => {
      if (isConfigure(ioctl)) {
        writeFileSync(path, pattern(32 * KiB, 1));
      }
      return undefined;
    });
    try {
      await assert.rejects(attached({ sizeLimit: 64 * KiB }), refused("invalid"));
      assert.equal(isConfigureUsable(), true);
    } finally {
      writeFileSync(path, pattern(MiB, 1));
    }
  });

  it("neither way gives the sectors that are demanded: refused and undone", async () => {
    using _kernel = new Kernel((ioctl) => {
      if (ioctl.what[0] === "LOOP_SET_BLOCK_SIZE") {
        return "ENOTTY";
      }
      return isConfigure(ioctl) ? "ENOTTY" : undefined;
    });
    await assert.rejects(attached({ sectorSize: 4096 }), refused("unsupported"));
  });

  it("direct I/O that the kernel drops: begun anew without, as such devices fail on 5.10", async () => {
    using kernel = new Kernel((ioctl) =>
      isConfigure(ioctl)
        ? changed(ioctl.argument, (bytes) => bytes.writeUInt32LE(bytes.readUInt32LE(AT.flags) & ~16, AT.flags))
        : undefined,
    );
    const device = await attached();
    assert.equal(device.directIo, false);
    const asked = kernel.ioctls
      .filter(isConfigure)
      .map(({ argument }) => Buffer.from(argument as Uint8Array).readUInt32LE(AT.flags) & 16);
    assert.deepEqual(asked, [16, 0]);
    assert.equal(isConfigureUsable(), true);
    await detached(device.device);
  });

  it("without sequence numbers (before 5.15) attaches, tells null, detaches", async () => {
    using _kernel = new Kernel(({ what }) => (what[0] === "BLKGETDISKSEQ" ? "EINVAL" : undefined));
    const device = await attached();
    assert.equal(device.diskSequence, null);
    assert.deepEqual(await detached(device.device), { state: "detached", users: [] });
    assert.deepEqual(scene.bound(), []);
  });

  it("EAGAIN from LOOP_SET_STATUS64: retried with growing random pauses, the event loop free", async () => {
    const times: number[] = [];
    using _kernel = new Kernel(({ what }, count) => {
      if (what[0] === "LOOP_SET_STATUS64") {
        times.push(performance.now());
        return count <= 8 ? "EAGAIN" : undefined;
      }
      return undefined;
    });
    let ticks = 0;
    const timer = setInterval(() => ticks++, 5);
    const device = await attached().finally(() => clearInterval(timer));
    assert.equal(device.autoclear, false);
    const pauses = times.slice(1).map((time, index) => time - (times[index] ?? 0));
    assert.ok(
      pauses.slice(0, 8).every((pause) => pause >= 9),
      `${pauses}`,
    );
    assert.ok(new Set(pauses.map(Math.round)).size > 1, "random");
    assert.ok(ticks > 10);
    await detached(device.device);
  });

  it("EAGAIN that lasts: the cache under the image is flushed, by its device or its file system", async () => {
    const under = await attached({ path: scene.workshop.fileSystem("ext4", "under", 32 * MiB) });
    mounted = under.device;
    const onDisk = scene.mount(under.device, "ext4");
    const onNone = scene.mount("none", "ramfs", "-t", "ramfs");
    for (const [folder, flushes] of [
      [onDisk, [under.device]],
      [onNone, []],
    ] as const) {
      writeFileSync(`${folder}/image`, pattern(MiB, 1));
      const flushed: string[] = [];
      using kernel = new Kernel(({ what }, count) => {
        flushed.push(...(what[0] === "BLKFLSBUF" ? [what[1]] : []));
        return what[0] === "LOOP_SET_STATUS64" && count <= 20 ? "EAGAIN" : undefined;
      });
      const device = await attached({ path: `${folder}/image` });
      assert.deepEqual(flushed, flushes, "where no device is under it, there is syncfs");
      assert.equal(kernel.count("LOOP_SET_STATUS64"), 21);
      kernel[Symbol.dispose]();
      await detached(device.device);
    }
  });

  it("EAGAIN for ever: one last grace, then a clear error in bounded time, and nothing left", async () => {
    using kernel = new Kernel(({ what }) => (what[0] === "LOOP_SET_STATUS64" ? "EAGAIN" : undefined));
    const began = performance.now();
    await assert.rejects(attached(), refused("busy", { errno: "EAGAIN", call: "LOOP_SET_STATUS64" }));
    assert.equal(kernel.count("LOOP_SET_STATUS64"), 22);
    // What is flushed on the way is the whole disk under the image, with all that others have written to it.
    assert.ok(performance.now() - began < 30_000);
    assert.ok(performance.now() - began > 1000);
  });

  for (const errno of ["EBUSY", "ENODEV", "ENXIO", "EUCLEAN"]) {
    it(`${errno} on the way: another free device, with the control device let go meanwhile`, async () => {
      const free: boolean[] = [];
      using kernel = new Kernel((ioctl, count) => {
        if (isConfigure(ioctl)) {
          assert.equal(lockable(LOOP_CONTROL), false, "locked while a device is taken");
          assert.equal(lockable(ioctl.what[1]), false, "the device as well");
          return count <= 20 ? errno : undefined;
        }
        return undefined;
      });
      const timer = setInterval(() => free.push(lockable(LOOP_CONTROL)), 1);
      const device = await attached().finally(() => clearInterval(timer));
      assert.equal(kernel.count("LOOP_CONFIGURE"), 21);
      assert.equal(isConfigureUsable(), true);
      assert.ok(free.includes(true), "let go while waiting");
      await detached(device.device);
    });
  }

  it("the old way, too: LOOP_SET_FD that comes too late", async () => {
    using kernel = new Kernel((ioctl, count) => {
      if (ioctl.what[0] === "LOOP_SET_FD" && count <= 3) {
        return "EBUSY";
      }
      return isConfigure(ioctl) ? "ENOTTY" : undefined;
    });
    const device = await attached();
    assert.equal(kernel.count("LOOP_SET_FD"), 4);
    await detached(device.device);
  });

  it("EBUSY for ever: given up after 64 tries", async () => {
    using kernel = new Kernel((ioctl) => (isConfigure(ioctl) ? "EBUSY" : undefined));
    await assert.rejects(attached(), refused("busy"));
    // A try ends earlier where udev looks at the device just then.
    assert.ok(kernel.count("LOOP_CONFIGURE") > 16 && kernel.count("LOOP_CONFIGURE") <= 64);
  });

  it("every error after the device is bound leaves it unbound", async () => {
    for (const [call, nth, known = false] of [
      ["LOOP_GET_STATUS64", 1],
      ["LOOP_GET_STATUS64", 2],
      ["LOOP_GET_STATUS64", 3],
      ["LOOP_SET_STATUS64", 1],
      ["BLKGETSIZE64", 1],
      ["BLKSSZGET", 1],
      ["LOOP_GET_STATUS64", 1, true],
      ["LOOP_GET_STATUS64", 2, true],
      ["LOOP_GET_STATUS64", 3, true],
      ["BLKGETSIZE64", 1, true],
      ["BLKSSZGET", 1, true],
    ] as const) {
      forgetKernel();
      if (known) {
        await detached((await attached({ sizeLimit: 64 * KiB })).device);
      }
      using _kernel = new Kernel(({ what }, count) => (what[0] === call && count >= nth ? "EIO" : undefined));
      await assert.rejects(attached({ sizeLimit: 64 * KiB }), (error: unknown) => {
        assert.ok(error instanceof KernelError && error.errno === "EIO", `${call} ${nth}: ${error}`);
        return true;
      });
      _kernel[Symbol.dispose]();
      await until(() => scene.bound().length === 0, `${call} ${nth}`);
    }
  });

  it("an error after autoclear is dropped leaves it unbound, too, though closing it undoes nothing any more", async () => {
    let dropped = false;
    using _kernel = new Kernel(({ what }) => {
      dropped ||= what[0] === "LOOP_SET_STATUS64";
      return dropped && what[0] === "LOOP_GET_STATUS64" ? "EIO" : undefined;
    });
    await assert.rejects(attached(), (error) => isErrno(error, "EIO"));
    assert.ok(dropped);
    await until(() => scene.bound().length === 0, "unbound");
  });

  it("autoclear is dropped last of all: until then each step is under it", async () => {
    const disk = scene.workshop.disk("disk.img", 16 * MiB, "label: gpt\nsize=4M\nsize=4M\n");
    const steps: string[] = [];
    let bound = "";
    using _kernel = new Kernel((ioctl) => {
      const [name, target] = ioctl.what;
      if (bound && target.startsWith(bound)) {
        steps.push(`${name} ${sys(bound, "loop/autoclear")}`);
      }
      if (isConfigure(ioctl)) {
        bound = target;
      }
      return undefined;
    });
    const device = await attached({ path: disk });
    const dropped = steps.indexOf("LOOP_SET_STATUS64 1");
    assert.ok(dropped > steps.lastIndexOf("BLKPG_ADD_PARTITION 1"), steps.join(", "));
    // None where the kernel has found them by itself.
    assert.ok([0, 2].includes(steps.filter((step) => step.startsWith("BLKPG_ADD_PARTITION")).length));
    assert.ok(steps.slice(0, dropped).every((step) => step.endsWith(" 1")));
    assert.ok(!steps.slice(dropped + 1).some((step) => /SET|ADD|DEL|CLR/.test(step)), "only looked at after that");
    await detached(device.device);
  });

  it("LOOP_CONFIGURE is all there is to it where it has given as much before and no partition is to be announced", async () => {
    const disk = scene.workshop.disk("again.img", 16 * MiB, "label: gpt\nsize=4M\n");
    const autoclear = async (path: string, more: Partial<Params<"loop/attach">> = {}) => {
      using kernel = new Kernel(() => undefined);
      const device = await attached({ path, ...more });
      await detached(device.device);
      assert.equal(device.autoclear, false);
      const [configure] = kernel.ioctls.filter(isConfigure);
      assert.ok(configure?.argument instanceof Uint8Array);
      const dropped = kernel.calls.slice(0, kernel.calls.indexOf("LOOP_CLR_FD")).includes("LOOP_SET_STATUS64");
      const bound = (Buffer.from(configure.argument).readUInt32LE(AT.flags) & LO_FLAGS_AUTOCLEAR) !== 0;
      assert.equal(dropped, bound);
      return bound;
    };
    assert.equal(await autoclear(path), true, "the first of its kind");
    assert.equal(await autoclear(path), false, "the same again");
    assert.equal(await autoclear(path, { sizeLimit: 64 * KiB }), true, "another wish");
    assert.equal(await autoclear(path, { sizeLimit: 64 * KiB }), false, "the same again");
    assert.equal(await autoclear(disk), true, "with partitions");
    assert.equal(await autoclear(disk), true, "with partitions again");
    assert.equal(await autoclear(disk, { partitionScan: false }), true, "without a scan");
    assert.equal(await autoclear(disk, { partitionScan: false }), false, "without a scan again");
  });

  it("what LOOP_CONFIGURE gave before and doesn't give now is undone, and done the old way under autoclear", async () => {
    await detached((await attached({ sizeLimit: 64 * KiB })).device);
    using kernel = new Kernel((ioctl) =>
      isConfigure(ioctl) ? changed(ioctl.argument, (bytes) => bytes.writeBigUInt64LE(0n, AT.sizeLimit)) : undefined,
    );
    const device = await attached({ sizeLimit: 64 * KiB });
    assert.equal(device.size, 64 * KiB);
    assert.equal(device.autoclear, false);
    const flags = kernel.ioctls
      .filter(({ what }) => what[0] === "LOOP_SET_STATUS64")
      .map(({ argument }) => Buffer.from(argument as Uint8Array).readUInt32LE(FLAGS_IN_STATUS) & LO_FLAGS_AUTOCLEAR);
    assert.deepEqual(flags, [LO_FLAGS_AUTOCLEAR, 0]);
    await detached(device.device);
  });

  it("whose a device will be is noted before it is bound, and not of one that is lost to somebody else", async () => {
    await detached((await attached()).device);
    const noted = (device: string) =>
      (statSync(`/run/diskloom/${basename(device)}.json`, { throwIfNoEntry: false })?.size ?? 0) > 0;
    const before: boolean[] = [];
    const between: boolean[] = [];
    const tried: string[] = [];
    using _kernel = new Kernel((ioctl, count) => {
      if (ioctl.what[0] === "LOOP_CTL_GET_FREE") {
        between.push(tried.some(noted));
      }
      if (isConfigure(ioctl)) {
        tried.push(ioctl.what[1]);
        before.push(noted(ioctl.what[1]));
        return count === 1 ? "EBUSY" : undefined;
      }
      // A verification that fails: this one is given up as well.
      return ioctl.what[0] === "BLKSSZGET" && tried.length === 2 ? "ENXIO" : undefined;
    });
    const device = await attached();
    assert.deepEqual(before, [true, true, true]);
    assert.deepEqual(between, [false, false, false]);
    assert.deepEqual(device.setUpBy, { uid: 0, name: "root" });
    await detached(device.device);
  });

  for (const errno of ["EACCES", "ESTALE"]) {
    it(`${errno} for the state of another device, as of one on somebody's sshfs: in nobody's way`, async () => {
      const image = scene.workshop.blank("private.img", 8 * MiB);
      const other = run("losetup", ["--find", "--show", "--read-only", image]).trim();
      using kernel = new Kernel(({ what: [call, target] }) =>
        call === "LOOP_GET_STATUS64" && target === other ? errno : undefined,
      );
      await assert.rejects(attached({ path: image }), (error) => isErrno(error, errno), "it is seen to be the same");
      // As if it weren't to be seen: it stands at no path any more.
      unlinkSync(image);
      const device = await attached();
      const found = (await listDevices()).find((it) => it.device === other);
      assert.ok(found?.kind === "loop");
      assert.deepEqual([found.size, found.readOnly, found.content.kind], [8 * MiB, true, "empty"]);
      await detached(device.device);
      kernel[Symbol.dispose]();
      run("losetup", ["--detach", other]);
    });
  }

  it("before 6.11 others can have the device as soon as LOOP_CLR_FD returns: it is theirs then", async () => {
    const dup2 = koffi.load(null).func("int dup2(int from, int to)");
    const { device } = await attached();
    const other = scene.workshop.disk("other.img", 8 * MiB, "label: dos\nsize=2M\n");
    let keeper: OpenFile | undefined;
    try {
      using kernel = new Kernel(({ what, fd }) => {
        if (what[0] === "LOOP_GET_STATUS64" && kernel.count("LOOP_CLR_FD") > 0 && !keeper) {
          // As if it were detached by now, though we have it open: it is, and then opened anew in the same place.
          using nothing = openFile("/dev/null", O_RDONLY);
          dup2(nothing.fd, fd);
          using again = openFile(device, O_RDONLY);
          dup2(again.fd, fd);
          run("losetup", [device, other]);
          run("addpart", [device, "1", "2048", "4096"]);
          keeper = openFile(device, O_RDONLY);
          run("losetup", ["--detach", device]);
        }
        return undefined;
      });
      assert.deepEqual(await detached(device), { state: "detached", users: [] });
      assert.equal(kernel.count("LOOP_CLR_FD"), 1);
      assert.ok(keeper);
      assert.deepEqual([sys(device, "loop/backing_file"), sys(device, "loop/autoclear")], [other, "1"]);
      assert.equal(sys(`${device}p1`, "size"), "4096");
    } finally {
      keeper?.[Symbol.dispose]();
    }
  });

  it("LOOP_CLR_FD is called on the only open descriptor, with control and device locked, the data written", async () => {
    const device = await attached();
    const { sync } = OpenFile.prototype;
    const written: string[] = [];
    OpenFile.prototype.sync = async function (this: OpenFile) {
      await sync.call(this);
      written.push(this.path);
    };
    try {
      using kernel = new Kernel(({ what }) => {
        if (what[0] === "LOOP_CLR_FD") {
          assert.equal(lockable(LOOP_CONTROL), false);
          assert.equal(lockable(device.device), false);
          assert.deepEqual(written, [device.device]);
        }
        return undefined;
      });
      await detached(device.device);
      assert.equal(kernel.count("LOOP_CLR_FD"), 1);
    } finally {
      OpenFile.prototype.sync = sync;
    }
  });
});

/** Whether nobody else has a file locked. It is looked at by a descriptor that is closed at once. */
function lockable(path: string): boolean {
  using file = openFile(path, O_RDONLY);
  return file.tryLock();
}
