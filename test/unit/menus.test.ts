/* The menus: what is left where several items of the tree are selected. */
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
