/*
 * The disk map: a picture of what is on a device or in an image. It shows itself by Show Disk Map on devices and image
 * files, and as VS Code's editor for images. Images are looked at by image/inspect, which needs no rights.
 */
import * as v from "valibot";
import * as vscode from "vscode";
import type { CommandContext } from "../commands/context";
import { DeviceItem } from "../devices/items";
import { Deeds, deviceTarget } from "./deeds";
import { MapPanel, type PanelContext, titleOf } from "./mapPanel";
import { State, type Target } from "./messages";
import { nameOf } from "./pictures";

const PANEL = "diskloom.diskMap";
/** The editor for images. */
export const EDITOR = "diskloom.diskMapEditor";
const COMMAND = "diskloom.showDiskMap";

export function registerDiskMap(
  { client, log, model }: CommandContext,
  { extension, extensionUri }: vscode.ExtensionContext,
): vscode.Disposable {
  const open = new Set<MapPanel>();
  const context: PanelContext = { client, log, model, extensionUri, deeds: new Deeds(extension), show };

  function show(target: Target): void {
    const existing = [...open].find((map) => isSame(map.target, target));
    if (existing) {
      existing.panel.reveal();
      return;
    }
    const place = vscode.ViewColumn.Active;
    adopt(vscode.window.createWebviewPanel(PANEL, titleOf(nameOf(target)), place, { enableFindWidget: true }), target);
  }

  function adopt(panel: vscode.WebviewPanel, target: Target): void {
    panel.title = titleOf(nameOf(target));
    panel.iconPath = {
      light: vscode.Uri.joinPath(extensionUri, "media/diskMap-light.svg"),
      dark: vscode.Uri.joinPath(extensionUri, "media/diskMap-dark.svg"),
    };
    const map = new MapPanel(panel, target, context);
    open.add(map);
    panel.onDidDispose(() => open.delete(map));
  }

  async function showFor(item?: unknown): Promise<void> {
    if (item instanceof DeviceItem) {
      show(deviceTarget(item.device));
    } else if (item instanceof vscode.Uri) {
      show({ kind: "image", path: item.fsPath });
    } else {
      await pick();
    }
  }

  async function pick(): Promise<void> {
    await model.refresh();
    const devices = model.devices.map((device) => {
      const { device: label, kind } = device;
      const description = kind === "loop" ? device.backingFile : device.table.map(({ type }) => type).join(", ");
      return { label, description, target: deviceTarget(device) };
    });
    const image = { label: vscode.l10n.t("Image File..."), description: "", target: undefined };
    const placeHolder = vscode.l10n.t("Choose a device or an image");
    const picked = await vscode.window.showQuickPick([...devices, image], {
      title: vscode.l10n.t("Show Disk Map"),
      placeHolder,
    });
    if (picked?.target) {
      show(picked.target);
    } else if (picked) {
      const [file] =
        (await vscode.window.showOpenDialog({
          title: vscode.l10n.t("Show Disk Map"),
          openLabel: vscode.l10n.t("Show"),
        })) ?? [];
      await (file && showFor(file));
    }
  }

  return vscode.Disposable.from(
    vscode.commands.registerCommand(COMMAND, showFor),
    vscode.window.registerWebviewPanelSerializer(PANEL, {
      async deserializeWebviewPanel(panel, state) {
        const parsed = v.safeParse(State, state);
        if (parsed.success) {
          adopt(panel, parsed.output.target);
        } else {
          panel.dispose();
        }
      },
    }),
    vscode.window.registerCustomEditorProvider(
      EDITOR,
      {
        openCustomDocument: (uri) => ({ uri, dispose: () => {} }),
        // VS Code gives it the file's own name and icon. It isn't among `open`: the user asked for it in this very tab.
        resolveCustomEditor({ uri }, panel) {
          if (uri.scheme !== "file") {
            throw new Error(vscode.l10n.t("This is not a file on this machine, so there is no disk map of it."));
          }
          new MapPanel(panel, { kind: "image", path: uri.fsPath }, context);
        },
      },
      { supportsMultipleEditorsPerDocument: true },
    ),
    new vscode.Disposable(() => {
      for (const map of open) {
        map.dispose();
      }
    }),
  );
}

function isSame(a: Target, b: Target): boolean {
  if (a.kind === "device") {
    return b.kind === "device" && a.diskSequence === b.diskSequence && a.device === b.device;
  }
  return b.kind === "image" && a.path === b.path;
}
