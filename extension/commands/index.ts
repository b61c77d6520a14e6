/* All commands, by the ids that package.json gives them. */
import * as vscode from "vscode";
import { attach } from "./attach";
import { attachAndMount } from "./attachAndMount";
import type { CommandContext } from "./context";
import { copyPath } from "./copyPath";
import { copyUuid } from "./copyUuid";
import { createMapper } from "./createMapper";
import { detach } from "./detach";
import { flush } from "./flush";
import { helperMenu, restartHelper, stopHelper } from "./helper";
import { installHelper, uninstallHelper } from "./installHelper";
import { mount, mountIdMapped } from "./mount";
import { addMounted, openMounted } from "./openMounted";
import { refresh } from "./refresh";
import { removeMapper } from "./removeMapper";
import { renameMapper } from "./renameMapper";
import { rescan } from "./rescan";
import { resize } from "./resize";
import { revealImage } from "./revealImage";
import { showTable } from "./showTable";
import { resumeMapper, suspendMapper } from "./suspendMapper";
import { unmount } from "./unmount";
import { unmountAndDetach } from "./unmountAndDetach";

export function registerCommands(context: CommandContext): vscode.Disposable[] {
  const commands = {
    "diskloom.attach": attach,
    "diskloom.attachAndMount": attachAndMount,
    "diskloom.detach": detach,
    "diskloom.unmountAndDetach": unmountAndDetach,
    "diskloom.mount": mount,
    "diskloom.mountIdMapped": mountIdMapped,
    "diskloom.unmount": unmount,
    "diskloom.openMounted": openMounted,
    "diskloom.addMounted": addMounted,
    "diskloom.revealImage": revealImage,
    "diskloom.copyPath": copyPath,
    "diskloom.rescan": rescan,
    "diskloom.resize": resize,
    "diskloom.flush": flush,
    "diskloom.createMapper": createMapper,
    "diskloom.suspendMapper": suspendMapper,
    "diskloom.resumeMapper": resumeMapper,
    "diskloom.renameMapper": renameMapper,
    "diskloom.removeMapper": removeMapper,
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
