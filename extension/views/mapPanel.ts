/* One disk map in one editor: draws it, keeps it fresh and does what its buttons say. */
import * as v from "valibot";
import * as vscode from "vscode";
import { isCommand, itemFor } from "./deeds";
import { findSegment } from "./layout";
import { type Deed, type Picture, type Target, ToHost, type ToPage } from "./messages";
import { pageOf, resourceRoots } from "./page";
import { deviceOf, pictureOf, type Studio, targetOfAttached } from "./pictures";
import { watchFile } from "./watch";

export interface PanelContext extends Studio {
  extensionUri: vscode.Uri;
  log: vscode.LogOutputChannel;
  /** Opens the map of something else. */
  show(target: Target): void;
}

export class MapPanel implements vscode.Disposable {
  readonly #subscriptions: vscode.Disposable[];
  #picture: Picture | undefined;
  #sent = "";
  #drawing: Promise<void> | undefined;
  #again = false;
  #disposed = false;

  constructor(
    readonly panel: vscode.WebviewPanel,
    public target: Target,
    readonly context: PanelContext,
  ) {
    const { webview } = panel;
    this.#subscriptions = [
      webview.onDidReceiveMessage((message) => void this.#heard(message)),
      context.model.onDidChange(() => void this.draw()),
      vscode.workspace.onDidGrantWorkspaceTrust(() => void this.draw()),
      ...(target.kind === "image" ? [watchFile(target.path, () => void this.draw())] : []),
      panel.onDidDispose(() => this.dispose()),
    ];
    webview.options = { enableScripts: true, localResourceRoots: resourceRoots(context.extensionUri) };
    webview.html = pageOf(webview, context.extensionUri);
  }

  /** Looks anew, and shows what is different. While that is under way, once more follows. */
  draw(): Promise<void> {
    this.#again = true;
    this.#drawing ??= this.#draw().finally(() => {
      this.#drawing = undefined;
    });
    return this.#drawing;
  }

  dispose(): void {
    this.#disposed = true;
    vscode.Disposable.from(...this.#subscriptions).dispose();
  }

  async #draw(): Promise<void> {
    while (this.#again && !this.#disposed) {
      this.#again = false;
      this.#follow();
      this.#picture = await pictureOf(this.target, this.context);
      const message: ToPage = { type: "show", picture: this.#picture, target: this.target };
      const text = JSON.stringify(message);
      if (text !== this.#sent && !this.#disposed) {
        this.#sent = text;
        await this.panel.webview.postMessage(message);
      }
    }
  }

  // A mapper device may be renamed, and stays what it is.
  #follow(): void {
    const device = deviceOf(this.target, this.context.model.devices);
    if (device && this.target.kind === "device" && device.device !== this.target.device) {
      this.target = { ...this.target, device: device.device };
      this.panel.title = titleOf(device.device);
    }
  }

  async #heard(said: unknown): Promise<void> {
    const parsed = v.safeParse(ToHost, said);
    if (!parsed.success) {
      this.context.log.warn(`The disk map said something that it never says: ${JSON.stringify(said)}`);
      return;
    }
    const message = parsed.output;
    if (message.type === "ready") {
      // A page that was hidden has forgotten everything.
      this.#sent = "";
      await this.context.model.refresh();
      await this.draw();
    } else {
      await this.#act(message.deed, message.segment);
    }
  }

  async #act(deed: Deed, segmentId: string | undefined): Promise<void> {
    const { model, deeds, show } = this.context;
    if (isCommand(deed)) {
      await deeds.run(deed, this.#subject(segmentId));
      await this.draw();
    } else if (deed === "retry") {
      await model.refresh();
      await this.draw();
    } else if (deed === "showImageMap" && this.target.kind === "device" && this.target.image) {
      show({ kind: "image", path: this.target.image });
    } else if (deed === "showDeviceMap" && this.target.kind === "image") {
      const target = targetOfAttached(this.target.path, model);
      if (target) {
        show(target);
      }
    }
  }

  /** What a command is to be run on. The page names a segment; which device that is, we know. */
  #subject(segmentId: string | undefined): unknown {
    if (this.target.kind === "image") {
      return vscode.Uri.file(this.target.path);
    }
    const { devices } = this.context.model;
    const node =
      segmentId === undefined
        ? deviceOf(this.target, devices)?.device
        : findSegment(this.#picture?.segments ?? [], segmentId)?.device;
    return node ? itemFor(node, devices) : undefined;
  }
}

export function titleOf(path: string): string {
  return vscode.l10n.t("Disk Map: {0}", path.slice(path.lastIndexOf("/") + 1));
}
