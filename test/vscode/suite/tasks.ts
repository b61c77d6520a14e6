/* Tasks as a person has them in tasks.json, on real devices. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import * as vscode from "vscode";
import { MiB } from "../../images";
import { loopOf, loopsUnder, losetup, mountsOf, releaseAllUnder } from "../loops";
import { until } from "../until";
import { has, lock } from "./helper";
import { attached, workshop } from "./place";
import { linesWritten } from "./terminals";
import { messageLike } from "./window";

describe("A task of type diskloom", () => {
  const shop = workshop();
  const [workspace] = vscode.workspace.workspaceFolders ?? [];
  const folder = workspace?.uri.fsPath ?? "";
  const image = join(folder, "rootfs.img");
  const target = join(folder, "mounted");

  before(() => {
    mkdirSync(join(folder, ".vscode"));
    mkdirSync(target);
    copyFileSync(shop().fileSystem("ext4", "rootfs"), image);
  });
  beforeEach(() => {
    linesWritten();
  });
  afterEach(() => releaseAllUnder(folder));
  after(() => {
    for (const name of [".vscode", "mounted", "rootfs.img", "link.img", "program.js", "seen.txt"]) {
      rmSync(join(folder, name), { recursive: true, force: true });
    }
  });

  /** As tasks.json has it. */
  function define(...tasks: { label: string; [name: string]: unknown }[]): void {
    const all = tasks.map((task) => ({ type: "diskloom", problemMatcher: [], ...task }));
    writeFileSync(join(folder, ".vscode/tasks.json"), JSON.stringify({ version: "2.0.0", tasks: all }));
  }

  /** As VS Code has it, once it has read tasks.json. */
  function taskCalled(label: string): Promise<vscode.Task> {
    return until(`the task ${label}`, async () =>
      (await vscode.tasks.fetchTasks({ type: "diskloom" })).find(({ name }) => name === label),
    );
  }

  /** Runs the tasks one after the other. @returns the exit code of the last */
  async function runTasks(...labels: string[]): Promise<number | undefined> {
    let code: number | undefined;
    for (const label of labels) {
      const task = await taskCalled(label);
      const ended = new Promise<number | undefined>((resolve) => {
        const listening = vscode.tasks.onDidEndTaskProcess(({ execution, exitCode }) => {
          if (execution.task.name === label) {
            listening.dispose();
            resolve(exitCode);
          }
        });
      });
      await vscode.tasks.executeTask(task);
      code = await ended;
    }
    return code;
  }

  // biome-ignore lint/suspicious/noTemplateCurlyInString: VS Code's own syntax
  const variable = "${workspaceFolder}/rootfs.img";

  it("attaches and detaches, and says so; twice is no error", async () => {
    define(
      { label: "attach 1", action: "attach", image: variable },
      { label: "detach 1", action: "detach", image: "rootfs.img" },
    );
    assert.equal(await runTasks("attach 1"), 0);
    const device = loopOf(image)?.device;
    assert.ok(device);
    assert.deepEqual(linesWritten(), [`rootfs.img is attached as ${device}.`]);
    assert.equal(await runTasks("attach 1"), 0);
    assert.deepEqual(linesWritten(), [`rootfs.img is already attached as ${device}.`]);
    assert.equal(loopsUnder(folder).length, 1);

    assert.equal(await runTasks("detach 1"), 0);
    assert.deepEqual(linesWritten(), [`rootfs.img is detached from ${device}.`]);
    assert.equal(loopOf(image), undefined);
    assert.equal(await runTasks("detach 1"), 0);
    assert.deepEqual(linesWritten(), ["rootfs.img is not attached."]);
  });

  it("mounts, unmounts and detaches what is mounted; twice is no error", async () => {
    define(
      { label: "mount 2", action: "mount", image: variable, target: "mounted" },
      { label: "unmount 2", action: "unmount", image: variable },
      { label: "detach 2", action: "detach", image: variable },
    );
    assert.equal(await runTasks("mount 2"), 0);
    const device = loopOf(image)?.device ?? "";
    assert.deepEqual(linesWritten(), [`rootfs.img is attached as ${device}.`, `${device} is mounted at ${target}.`]);
    assert.deepEqual(readdirSync(target), ["lost+found"]);
    assert.equal(await runTasks("mount 2"), 0);
    assert.deepEqual(linesWritten(), [
      `rootfs.img is already attached as ${device}.`,
      `rootfs.img is already mounted at ${target}.`,
    ]);

    assert.equal(await runTasks("unmount 2"), 0);
    assert.deepEqual(linesWritten(), [`${target} unmounted.`]);
    assert.deepEqual(mountsOf(device), []);
    assert.equal(loopOf(image)?.device, device);
    assert.equal(await runTasks("unmount 2"), 0);
    assert.deepEqual(linesWritten(), ["Nothing of rootfs.img is mounted."]);

    assert.equal(await runTasks("mount 2", "detach 2"), 0);
    assert.equal(loopOf(image), undefined);
    assert.deepEqual(mountsOf(device), []);
  });

  it("mounts one partition of several, for reading only", async () => {
    const disk = shop().disk("disk.img", 64 * MiB, "label: gpt\nsize=16MiB, type=linux\nsize=32MiB, type=linux\n");
    shop().put(disk, 17 * MiB, image);
    define(
      { label: "mount 3", action: "mount", image: disk, partition: 2, readOnly: true, target },
      { label: "missing 3", action: "mount", image: disk, partition: 3 },
      { label: "detach 3", action: "detach", image: disk },
    );
    assert.equal(await runTasks("mount 3"), 0);
    const device = loopOf(disk)?.device;
    assert.equal(linesWritten().at(-1), `${device}p2 is mounted at ${target} (read-only).`);
    assert.deepEqual(mountsOf(`${device}p2`), [target]);
    assert.equal(await runTasks("detach 3", "missing 3"), 1);
    assert.equal(linesWritten().at(-1), "disk.img has no partition 3.");
    assert.equal(loopOf(disk), undefined, "it stays attached");
  });

  it("that fails has an exit code and says why", async () => {
    const empty = shop().blank("empty.img", MiB);
    define(
      { label: "missing 4", action: "attach", image: "missing.img" },
      { label: "wrong 4", action: "eject", image: variable },
      { label: "nothing 4", action: "mount", image: empty },
    );
    assert.equal(await runTasks("missing 4"), 1);
    assert.match(linesWritten().join(), /^There is no file .*missing\.img\. It may have been moved or deleted\.$/);
    assert.equal(await runTasks("wrong 4"), 1);
    assert.match(linesWritten().join(), /^This task can't be run: action: .*"eject"/);
    assert.equal(await runTasks("nothing 4"), 1);
    assert.match(linesWritten().join("\n"), /There is nothing to mount on empty\.img: it is empty\.$/);
    assert.equal(loopOf(empty), undefined, "it stays attached");
  });

  it("knows an image by any path, and after it was deleted", async () => {
    const other = join(folder, "link.img");
    symlinkSync(image, other);
    const deleted = shop().blank("deleted.img", MiB);
    define(
      { label: "detach link 5", action: "detach", image: "link.img" },
      { label: "detach deleted 5", action: "detach", image: deleted },
    );
    const device = await attached(image);
    assert.equal(await runTasks("detach link 5"), 0);
    assert.deepEqual(linesWritten(), [`link.img is detached from ${device}.`]);
    await attached(deleted);
    rmSync(deleted);
    assert.equal(await runTasks("detach deleted 5"), 0);
    assert.deepEqual(loopsUnder(shop().folder), []);
  });

  it("leaves somebody else's device alone without the user's yes", async () => {
    const device = losetup(image);
    define({ label: "detach 6", action: "detach", image: variable });
    assert.equal(await runTasks("detach 6"), 1);
    await messageLike(/was set up by the system or another program/);
    assert.deepEqual(linesWritten(), [`${device} was not detached.`]);
    assert.equal(loopOf(image)?.device, device);
  });

  it("that is terminated attaches nothing any more", async () => {
    define({ label: "attach 7", action: "attach", image: variable });
    const task = await taskCalled("attach 7");
    // Attaching waits for whoever has the control device locked.
    const holder = await lock("/dev/loop-control");
    try {
      const execution = await vscode.tasks.executeTask(task);
      await until("the attach under way", () => has("/dev/loop-control"));
      execution.terminate();
      await until("word of the end", () => linesWritten().includes('"loop/attach" was cancelled.'));
    } finally {
      holder.kill("SIGKILL");
      await once(holder, "exit");
    }
    assert.equal(loopOf(image), undefined);
  });

  it("runs before and after debugging", async () => {
    define(
      { label: "before 8", action: "mount", image: variable, target: "mounted" },
      { label: "after 8", action: "detach", image: variable },
    );
    const seen = join(folder, "seen.txt");
    writeFileSync(
      join(folder, "program.js"),
      `const fs = require("fs"); fs.writeFileSync("${seen}", fs.readdirSync("${target}").join());`,
    );
    const ended = new Promise<void>((resolve) => {
      const listening = vscode.debug.onDidTerminateDebugSession(({ parentSession }) => {
        if (!parentSession) {
          listening.dispose();
          resolve();
        }
      });
    });
    const started = await vscode.debug.startDebugging(workspace, {
      name: "program",
      type: "node",
      request: "launch",
      program: join(folder, "program.js"),
      console: "internalConsole",
      preLaunchTask: "before 8",
      postDebugTask: "after 8",
    });
    assert.ok(started);
    await ended;
    assert.equal(readFileSync(seen, "utf8"), "lost+found", "the program didn't see what is in the image");
    await until(`the end of ${basename(image)}`, () => loopOf(image) === undefined);
    assert.match(linesWritten().join("\n"), /is attached as .*\n.*is mounted at .*\n.*is detached from /);
  });
});
