import assert from "node:assert/strict";
import * as vscode from "vscode";
import { until } from "../until";
import { extension } from "./extension";

interface Contributed {
  command: string;
  category?: string;
  title: string;
}

describe("The extension", () => {
  it("costs nothing until somebody wants it, then is activated by its view", async () => {
    assert.equal(extension().isActive, false, "active before anything was asked of it");
    await vscode.commands.executeCommand("diskloom.devices.focus");
    await until("the activation by the view", () => extension().isActive);
  });

  it("registers every command that it contributes, under “Diskloom:” in the palette", async () => {
    const contributed: Contributed[] = extension().packageJSON.contributes.commands;
    const registered = new Set(await vscode.commands.getCommands(true));
    assert.ok(contributed.length >= 3);
    for (const { command, category } of contributed) {
      assert.ok(registered.has(command), `${command} isn't registered`);
      assert.equal(category, "Diskloom", `${command} isn't found under Diskloom`);
    }
    for (const command of ["diskloom.attach", "diskloom.detach", "diskloom.flush"]) {
      assert.ok(contributed.some((one) => one.command === command));
    }
  });
});
