/* All commands, by the ids that package.json gives them. */
import * as vscode from "vscode";
import { attach } from "./attach";
import { attachAndMount } from "./attachAndMount";
import { attachWithOptions } from "./attachWithOptions";
import type { CommandContext } from "./context";
import { copyPath } from "./copyPath";
import { copyUuid } from "./copyUuid";
import { createMapper } from "./createMapper";
import { detach, detachWhenFree, keepAttached, unmountAndDetach } from "./detach";
import { detachMine } from "./detachSeveral";
import { flush } from "./flush";
import { helperMenu, restartHelper, stopHelper } from "./helper";
import { installHelper, uninstallHelper } from "./installHelper";
import { mount, mountIdMapped } from "./mount";
import { addMounted, openMounted, openTerminal } from "./openMounted";
import { properties } from "./properties";
import { refresh } from "./refresh";
import { removeMapper, removeWhenFree, unmountAndRemove } from "./removeMapper";
import { renameMapper } from "./renameMapper";
import { rescan } from "./rescan";
import { resize } from "./resize";
import { revealImage } from "./revealImage";
import { showTable } from "./showTable";
import { resumeMapper, suspendMapper } from "./suspendMapper";
import { unmount } from "./unmount";

export function registerCommands(context: CommandContext): vscode.Disposable[] {
  const commands = {
    "diskloom.attach": attach,
    "diskloom.attachAndMount": attachAndMount,
    "diskloom.attachWithOptions": attachWithOptions,
    "diskloom.detach": detach,
    "diskloom.unmountAndDetach": unmountAndDetach,
    "diskloom.detachWhenFree": detachWhenFree,
    "diskloom.detachMine": detachMine,
    "diskloom.keepAttached": keepAttached,
    "diskloom.mount": mount,
    "diskloom.mountIdMapped": mountIdMapped,
    "diskloom.unmount": unmount,
    "diskloom.openMounted": openMounted,
    "diskloom.addMounted": addMounted,
    "diskloom.openTerminal": openTerminal,
    "diskloom.revealImage": revealImage,
    "diskloom.copyPath": copyPath,
    "diskloom.properties": properties,
    "diskloom.rescan": rescan,
    "diskloom.resize": resize,
    "diskloom.flush": flush,
    "diskloom.createMapper": createMapper,
    "diskloom.suspendMapper": suspendMapper,
    "diskloom.resumeMapper": resumeMapper,
    "diskloom.renameMapper": renameMapper,
    "diskloom.removeMapper": removeMapper,
    "diskloom.unmountAndRemove": unmountAndRemove,
    "diskloom.removeWhenFree": removeWhenFree,
    "diskloom.showTable": showTable,
    "diskloom.copyUuid": copyUuid,
    "diskloom.refresh": refresh,
    "diskloom.helperMenu": helperMenu,
    "diskloom.stopHelper": stopHelper,
    "diskloom.restartHelper": restartHelper,
    "diskloom.installHelper": installHelper,
    "diskloom.uninstallHelper": uninstallHelper,
    "diskloom.showLog": ({ log }: CommandContext) => log.show(),
  };
  return Object.entries(commands).map(([id, run]) =>
    vscode.commands.registerCommand(id, (...args: [never, never]) => run(context, ...args)),
  );
}
