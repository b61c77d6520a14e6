/* Where the suite works: a folder of images of its own, and short words for what most tests do. */
import * as vscode from "vscode";
import { Workshop } from "../../images";
import { loopOf, releaseAllUnder } from "../loops";
import { forgetMessages } from "./window";

/** Images for the tests of one file, made before them; what is left of them is let go of after each. */
export function workshop(): () => Workshop {
  let shop: Workshop | undefined;
  before(() => {
    shop = new Workshop();
  });
  beforeEach(() => forgetMessages());
  afterEach(async () => {
    if (shop) {
      await releaseAllUnder(shop.folder);
    }
  });
  after(() => shop?.[Symbol.dispose]());
  return () => {
    if (!shop) {
      throw new Error("There is no workshop before the tests.");
    }
    return shop;
  };
}

/** As the explorer does it with what is selected there. */
export async function attach(...images: string[]): Promise<void> {
  const files = images.map((image) => vscode.Uri.file(image));
  await vscode.commands.executeCommand("diskloom.attach", files[0], files);
}

export async function detach(item: unknown): Promise<void> {
  await vscode.commands.executeCommand("diskloom.detach", item);
}

export async function flush(item: unknown): Promise<void> {
  await vscode.commands.executeCommand("diskloom.flush", item);
}

/** Attaches an image behind which nobody is to find anything else; returns its node. */
export async function attached(image: string): Promise<string> {
  await attach(image);
  const loop = loopOf(image);
  if (!loop) {
    throw new Error(`${image} was not attached.`);
  }
  return loop.device;
}
