/* A person in front of a real VS Code, with the packaged extension installed, as its users have it. */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { root } from "../helper";

// Loaded at run time from where they are: they find the programs that they start beside them.
const load = (path: string) => import(pathToFileURL(join(root, path)).href);
export const loadServe: () => Promise<typeof import("./host/serve.mjs")> = () => load("test/vscode/host/serve.mjs");
export const loadBrowser: () => Promise<typeof import("./host/browser.mjs")> = () =>
  load("test/vscode/host/browser.mjs");
const loadPerson: () => Promise<typeof import("./host/person.mjs")> = () => load("test/vscode/host/person.mjs");
const loadSetup: () => Promise<typeof import("./host/setup.mjs")> = () => load("test/vscode/host/setup.mjs");
const loadPackage: () => Promise<typeof import("../tools/package.mjs")> = () => load("test/tools/package.mjs");

export type Served = import("./host/serve.mjs").Served;
export type Browser = import("./host/browser.mjs").Browser;
export type BrowserOptions = import("./host/browser.mjs").BrowserOptions;
export type Person = import("./host/person.mjs").Person;
export type Locator = import("playwright-core").Locator;

export type Extension = Pick<import("./host/serve.mjs").ServeOptions, "vsix" | "extensions">;

/** The extension as its users get it: as whoever runs all the tests has installed it, once for all files, if one did. */
export async function packaged(): Promise<Extension> {
  const { DISKLOOM_EXTENSIONS: extensions, DISKLOOM_VSIX: vsix } = process.env;
  if (extensions) {
    return { extensions };
  }
  if (vsix) {
    return { vsix: [vsix] };
  }
  const [{ ensureVsCode }, { packageExtension }] = await Promise.all([loadSetup(), loadPackage()]);
  ensureVsCode();
  return { vsix: [packageExtension()] };
}

/** A window on a served VS Code, and whoever sits before it. */
export interface Seat {
  browser: Browser;
  person: Person;
}

/** A tree draws only the rows that can be seen: there is to be room for devices of others, too. */
export const ROOMY = { width: 1280, height: 1400 };

/** @param name of the folder with screenshots of failures */
export async function takeSeat(
  served: Pick<Served, "url" | "password" | "address">,
  name: string,
  options: BrowserOptions,
): Promise<Seat> {
  const [{ openBrowser }, { Person }] = await Promise.all([loadBrowser(), loadPerson()]);
  const browser = await openBrowser(served, options);
  return { browser, person: new Person(browser.page, { screenshots: shotsOf(name) }) };
}

/**
 * The window that something opens.
 * @param name of the folder with screenshots of failures
 */
export async function newWindow({ context }: Browser, open: () => Promise<unknown>, name?: string): Promise<Person> {
  const [page] = await Promise.all([context.waitForEvent("page"), open()]);
  const { Person } = await loadPerson();
  const person = new Person(page, name === undefined ? {} : { screenshots: shotsOf(name) });
  await page.waitForSelector(".monaco-workbench");
  return person;
}

const shotsOf = (name: string) => join(root, "test/vscode/shots", name);
