/* The menus: what stands on a file in the explorer, and what is left where several items of the tree are selected. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { englishManifest } from "../manifest";

interface Entry {
  command?: string;
  submenu?: string;
  when?: string;
  group?: string;
}
const { contributes } = JSON.parse(englishManifest());
const menus: Record<string, Entry[]> = contributes.menus;
const commands = new Set<string>(contributes.commands.map(({ command }: { command: string }) => command));

function entriesOf(menu: string): Entry[] {
  const entries = menus[menu];
  assert.ok(entries, `there is no ${menu}`);
  return entries;
}

test("every entry leads somewhere", () => {
  for (const [menu, entries] of Object.entries(menus)) {
    for (const { command, submenu } of entries) {
      const there = command === undefined ? submenu !== undefined && submenu in menus : commands.has(command);
      assert.ok(there, `${menu}: ${command ?? submenu}`);
    }
  }
});

describe("on a file in the explorer", () => {
  const entries = entriesOf("explorer/context");
  const attach = entries.find(({ command }) => command === "diskloom.attach");
  const submenu = entries.find((entry) => entry.submenu !== undefined);
  /** What a file's name ends with, by the conditions of an entry: it is that, and it is not. */
  const isNot = (entry: Entry | undefined) =>
    [...(entry?.when ?? "").matchAll(/!\(resourceExtname =~ \/(.*?)\/i\)/g)].map(([, pattern = ""]) => pattern);
  const is = (entry: Entry | undefined) => /(?<!!\()resourceExtname =~ \/(.*?)\/i/.exec(entry?.when ?? "")?.[1];

  test("Attach as Loop Device is at the top level of each that may be an image", () => {
    assert.equal(
      contributes.commands.find(({ command }: { command: string }) => command === "diskloom.attach").title,
      "Attach as Loop Device",
    );
    assert.equal(isNot(attach).length, 1);
    assert.equal(is(attach), undefined);
  });

  test("all the other entries are beside it on an image, and else in the submenu", () => {
    const others = entries.filter((entry) => entry !== attach && entry !== submenu);
    assert.deepEqual(
      others.map(({ command }) => command).sort(),
      entriesOf(submenu?.submenu ?? "")
        .map(({ command }) => command)
        .sort(),
    );
    const [images = "nothing"] = others.map(is);
    for (const entry of others) {
      assert.equal(is(entry), images);
    }
    assert.deepEqual(isNot(submenu), [images, ...isNot(attach)]);
  });

  test("no image is taken for a text", () => {
    const [pattern = ""] = isNot(attach);
    const isText = (extension: string) => new RegExp(pattern, "i").test(extension);
    for (const text of [".ts", ".js", ".mjs", ".tsx", ".json", ".md", ".c", ".H", ".xml", ".yml", ".html"]) {
      assert.ok(isText(text), text);
    }
    // Of those that the file picker and the disk map's editor are for, and of others that images may have.
    const named = ["img", "iso", "raw", "squashfs", "erofs", "ext4", "wic", "bin", "", "dd", "hdd", "sd", "snap"];
    for (const image of named) {
      assert.ok(!isText(image && `.${image}`), image);
    }
  });
});

describe("on several selected items of the tree", () => {
  const SEVERAL = [
    "detach",
    "unmountAndDetach",
    "detachWhenFree",
    "flush",
    "mount",
    "mountIdMapped",
    "unmount",
    "copyPath",
  ];

  test("nothing is offered that would be done to one of them only", () => {
    // An icon stands in the row that it is for.
    const entries = entriesOf("view/item/context").filter(({ group }) => !group?.startsWith("inline"));
    for (const { command = "", when = "" } of entries) {
      const isForSeveral = SEVERAL.includes(command.replace("diskloom.", ""));
      assert.equal(when.includes("!listMultiSelection"), !isForSeveral, command);
    }
  });
});
