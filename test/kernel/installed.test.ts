/* A helper that root owns: how it is installed, what is looked at before it becomes root, and how it goes. */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { Failure } from "../../extension/helper/failure";
import { install, uninstall } from "../../extension/helper/installation/install";
import { flawOfInstalled, installedVersions, uninstallCommand } from "../../extension/helper/installation/installed";
import type { Places } from "../../extension/helper/installation/places";
import { rootCommand } from "../../extension/helper/installation/rootCommand";
import { chooseRuntime } from "../../extension/helper/installation/runtime";
import { flawAt, flawWithin } from "../../extension/helper/installation/sound";
import { helperProgram } from "../helper";
import { until } from "../vscode/until";

const SOMEBODY = 47123;
const DIST = dirname(helperProgram);
const OLD = "0.0.1";

/** A folder in one that only root can write to, unlike /tmp. */
class Yard implements Disposable {
  readonly folder = mkdtempSync("/run/diskloom-test-");
  readonly places: Places = { base: this.path("lib/diskloom"), policies: this.path("actions") };

  constructor() {
    chmodSync(this.folder, 0o755);
    mkdirSync(this.path("lib"), { mode: 0o755 });
    mkdirSync(this.places.policies, { mode: 0o755 });
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  install(): string {
    return install(DIST, DISKLOOM_VERSION, this.places).runtime;
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

const fault = (path: string) => flawAt(path)?.fault;

describe("what only root can change", () => {
  it("is what root owns and nobody else may write to, with all folders above", () => {
    using yard = new Yard();
    const file = yard.path("lib/file");
    writeFileSync(file, "", { mode: 0o644 });
    assert.equal(flawAt(file), undefined);
    for (const [path, mode] of [
      [file, 0o664],
      [file, 0o646],
      [yard.path("lib"), 0o775],
      [yard.path("lib"), 0o757],
      [yard.path("lib"), 0o1777],
      [yard.folder, 0o777],
    ] as const) {
      const before = lstatSync(path).mode & 0o7777;
      chmodSync(path, mode);
      assert.deepEqual(flawAt(file), {
        path,
        fault: `can be written by others than root (mode ${mode.toString(8).padStart(4, "0")})`,
        remedy: `chmod go-w ${path}`,
      });
      chmodSync(path, before);
    }
    for (const path of [file, yard.path("lib"), yard.folder]) {
      chownSync(path, SOMEBODY, 0);
      assert.equal(flawAt(file)?.path, path);
      assert.match(fault(file) ?? "", /^belongs to user 47123, not to root$/);
      chownSync(path, 0, 0);
    }
    assert.equal(flawAt(file), undefined);
  });

  it("is no symbolic link, wherever it leads, nothing that is missing and nothing but files and folders", () => {
    using yard = new Yard();
    const inside = yard.path("lib/inside");
    mkdirSync(inside);
    symlinkSync(inside, yard.path("link"));
    assert.equal(fault(yard.path("link")), "is a symbolic link");
    assert.equal(fault(yard.path("link/file")), "is a symbolic link");
    assert.equal(fault(yard.path("gone/file")), "is missing");
    execFileSync("mkfifo", [join(inside, "fifo")]);
    assert.equal(flawWithin(yard.path("lib"))?.fault, "is neither a file nor a folder");
  });

  it("is looked for at any depth of a folder", () => {
    using yard = new Yard();
    const deep = yard.path("lib/a/b");
    mkdirSync(deep, { recursive: true });
    const file = join(deep, "file");
    writeFileSync(file, "", { mode: 0o644 });
    assert.equal(flawWithin(yard.folder), undefined);
    chmodSync(file, 0o666);
    assert.equal(flawWithin(yard.folder)?.path, file);
  });
});

const own = { program: "/own", args: [], environment: {} };
const notAsked = async () => assert.fail("nobody is to be asked");
const command = (yard: Yard, replace: (installed: string) => Promise<void> = notAsked) =>
  rootCommand(own, replace, yard.places);

async function refusal(yard: Yard): Promise<string> {
  const failure: unknown = await command(yard).catch((error: unknown) => error);
  assert.ok(failure instanceof Failure, "it was not refused");
  assert.equal(failure.reason, "notPrivileged");
  return failure.message;
}

describe("what runs an installed helper", () => {
  it("is nothing that loads what others can change, even where it is root's itself", () => {
    using yard = new Yard();
    const theirs = yard.path("theirs");
    copyFileSync(process.execPath, theirs);
    chownSync(theirs, SOMEBODY, 0);
    const wrapper = yard.path("wrapper");
    const before = process.execPath;
    try {
      // The extension host's Node.
      process.execPath = theirs;
      writeFileSync(wrapper, `#!/bin/sh\nexec ${theirs} "$@"\n`, { mode: 0o755 });
      assert.equal(flawAt(wrapper), undefined);
      let chosen: string | undefined;
      try {
        chosen = chooseRuntime(() => wrapper).path;
      } catch (error) {
        assert.match(String(error), /Install Node 20\.11 or later for all users .* theirs belongs to user 47123/);
      }
      assert.ok(chosen === undefined || (chosen !== wrapper && flawAt(chosen) === undefined), chosen);
      const copied = yard.path("copied");
      const copy = (program: string) => {
        copyFileSync(program, copied);
        return copied;
      };
      assert.equal(chooseRuntime(copy).path, copied);
    } finally {
      process.execPath = before;
    }
  });
});

describe("an installed helper", () => {
  it("belongs to root with all its files, and polkit has an action for it", async () => {
    using yard = new Yard();
    // As sudo may hand it on.
    const mask = process.umask(0o077);
    const runtime = yard.install();
    process.umask(mask);
    const { base, policies } = yard.places;
    const folder = join(base, DISKLOOM_VERSION);
    assert.equal(flawOfInstalled(DISKLOOM_VERSION, yard.places), undefined);
    for (const name of ["", ...readdirSync(folder, { recursive: true, encoding: "utf8" })]) {
      const stat = lstatSync(join(folder, name));
      const mode = stat.isDirectory() || /^(diskloom-helper|node)$/.test(name) ? 0o755 : 0o644;
      assert.deepEqual([stat.uid, stat.gid, stat.mode & 0o7777], [0, 0, mode], name);
    }
    assert.deepEqual(readdirSync(base), [DISKLOOM_VERSION]);
    assert.equal(flawAt(runtime), undefined);
    assert.deepEqual(readdirSync(policies), ["io.github.diskloom.helper.policy"]);
    const policy = readFileSync(join(policies, "io.github.diskloom.helper.policy"), "utf8");
    assert.match(policy, /<action id="io\.github\.diskloom\.helper">/);
    assert.match(policy, /<allow_active>auth_admin_keep</);
    assert.ok(policy.includes(`<annotate key="org.freedesktop.policykit.exec.path">${folder}/diskloom-helper<`));
    assert.deepEqual(await command(yard), {
      program: join(folder, "diskloom-helper"),
      args: [],
      environment: {},
      installed: true,
    });
  });

  it("is started with an environment of its own and no arguments, whatever its caller sets", async () => {
    using yard = new Yard();
    const runtime = yard.install();
    const folder = join(yard.places.base, DISKLOOM_VERSION);
    const hostile = { NODE_OPTIONS: "--require=/nowhere.js", LD_PRELOAD: "", BASH_ENV: "/nowhere", SUDO_UID: "a b;id" };
    const child = spawn(join(folder, "diskloom-helper"), ["--inspect", "x"], {
      env: { ...hostile, PKEXEC_UID: String(SOMEBODY), PATH: "/nowhere" },
      stdio: ["pipe", "ignore", "inherit"],
    });
    const ended = once(child, "exit");
    try {
      const helper = join(folder, "helper.js");
      await until("the helper", () => {
        const found = readFileSync(`/proc/${child.pid}/cmdline`, "utf8").split("\0").slice(0, -1);
        return found.join(" ") === [runtime, helper, "--stdio"].join(" ");
      });
      const variables = readFileSync(`/proc/${child.pid}/environ`, "utf8").split("\0").slice(0, -1);
      assert.deepEqual(variables, [
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG=C.UTF-8",
        "SUDO_UID=a b;id",
        `PKEXEC_UID=${SOMEBODY}`,
      ]);
    } finally {
      child.stdin.end();
      assert.deepEqual(await ended, [0, null]);
    }
  });

  it("is refused where anybody but root can write to it or above it, and the message says what to do", async () => {
    using yard = new Yard();
    yard.install();
    const { base } = yard.places;
    const folder = join(base, DISKLOOM_VERSION);
    const above = yard.path("lib");
    chmodSync(above, 0o777);
    const told = `${above} can be written by others than root (mode 0777). As root, run: chmod go-w ${above}`;
    assert.equal(await refusal(yard), `Diskloom's installed helper isn't safe to run as root: ${told}`);
    chmodSync(above, 0o755);
    for (const path of [base, folder, join(folder, "helper.js"), join(folder, "diskloom-helper")]) {
      const { mode } = lstatSync(path);
      chmodSync(path, mode | 0o020);
      assert.match(await refusal(yard), /can be written by others .* Installing it again/);
      chmodSync(path, mode);
    }
    const native = join(folder, "native");
    chownSync(native, SOMEBODY, 0);
    assert.match(await refusal(yard), /native belongs to user 47123/);
    chownSync(native, 0, 0);
    renameSync(base, yard.path("elsewhere"));
    symlinkSync(yard.path("elsewhere"), base);
    assert.match(await refusal(yard), /diskloom is a symbolic link/);
    rmSync(base);
    writeFileSync(base, "");
    assert.match(await refusal(yard), /ENOTDIR/);
    rmSync(base);
    renameSync(yard.path("elsewhere"), base);
    writeFileSync(join(folder, "installed.json"), '{"runtime":"/tmp","environment":{}}');
    assert.match(await refusal(yard), /\/tmp can be written by others/);
    rmSync(join(folder, "installed.json"));
    assert.match(await refusal(yard), /installed\.json is missing/);
    yard.install();
    assert.equal((await command(yard)).installed, true);
  });

  it("of another version doesn't become root, nor does the extension's own, unless it is replaced", async () => {
    using yard = new Yard();
    assert.equal(await command(yard), own);
    yard.install();
    renameSync(join(yard.places.base, DISKLOOM_VERSION), join(yard.places.base, OLD));
    await assert.rejects(
      command(yard, async (installed) => {
        throw new Error(`kept ${installed}`);
      }),
      /kept 0\.0\.1/,
    );
    const replaced = await command(yard, async () => void yard.install());
    assert.equal(replaced.program, join(yard.places.base, DISKLOOM_VERSION, "diskloom-helper"));
    assert.deepEqual(installedVersions(yard.places), [DISKLOOM_VERSION]);
    assert.deepEqual(readdirSync(yard.places.base), [DISKLOOM_VERSION]);
  });

  it("stays as it is where installing another one fails, and nothing is left of that", () => {
    using yard = new Yard();
    yard.install();
    const sources = yard.path("sources");
    mkdirSync(join(sources, "native"), { recursive: true });
    const attempt = () => install(sources, DISKLOOM_VERSION, yard.places);
    assert.throws(attempt, /ENOENT/);
    writeFileSync(join(sources, "helper.js"), "process.stderr.write('no good'); process.exit(3)");
    const engine = join(sources, "engine.js");
    for (const file of [engine, join(sources, "install.js")]) {
      writeFileSync(file, "");
    }
    assert.throws(attempt, /The copy of the helper doesn't run \(3\): no good/);
    // Without its native file it could say no more than hello.
    copyFileSync(helperProgram, join(sources, "helper.js"));
    copyFileSync(join(DIST, "engine.js"), engine);
    assert.throws(attempt, /The copy of the helper doesn't run \(70\): Error: Cannot find the native/);
    assert.equal(flawOfInstalled(DISKLOOM_VERSION, yard.places), undefined);
    assert.deepEqual(readdirSync(yard.places.base), [DISKLOOM_VERSION]);
    uninstall(yard.places);
    assert.throws(attempt, /doesn't run/);
    assert.equal(existsSync(yard.places.base), false);
  });

  it("is neither installed nor uninstalled where others can write above it", () => {
    using yard = new Yard();
    chmodSync(yard.path("lib"), 0o777);
    assert.throws(() => yard.install(), /lib can be written by others than root .* run: chmod go-w/);
    assert.deepEqual(readdirSync(yard.path("lib")), []);
    chmodSync(yard.path("lib"), 0o755);
    yard.install();
    chmodSync(yard.path("lib"), 0o777);
    assert.throws(() => uninstall(yard.places), /can be written by others/);
    assert.deepEqual(readdirSync(yard.places.base), [DISKLOOM_VERSION]);
  });

  it("uninstalls itself as long as it may become root", () => {
    using yard = new Yard();
    assert.equal(uninstallCommand(yard.places), undefined);
    const runtime = yard.install();
    const folder = join(yard.places.base, DISKLOOM_VERSION);
    assert.deepEqual(uninstallCommand(yard.places), {
      program: runtime,
      args: [join(folder, "install.js"), "uninstall"],
      environment: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LANG: "C.UTF-8" },
    });
    chmodSync(join(folder, "install.js"), 0o666);
    assert.equal(uninstallCommand(yard.places), undefined);
  });

  it("goes with everything that was made for it, whatever has become of it", () => {
    using yard = new Yard();
    yard.install();
    chmodSync(yard.places.base, 0o777);
    writeFileSync(join(yard.places.base, "stray"), "");
    uninstall(yard.places);
    assert.deepEqual(readdirSync(yard.path("lib")), []);
    assert.deepEqual(readdirSync(yard.places.policies), []);
    uninstall(yard.places);
    rmSync(yard.places.policies, { recursive: true });
    assert.equal(install(DIST, DISKLOOM_VERSION, yard.places).policy, false, "there is no polkit to tell");
    assert.equal(existsSync(yard.places.policies), false);
  });
});
