/** What a person does in VS Code, so that tests of the user interface read like a person's acts. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";

/** A menu ignores the mouse for so long, lest the click that opened it choose something. */
const MENU_DEAF_MILLISECONDS = 100;

const MENU_RETRY_MILLISECONDS = 200;

/** Machines that run other tests beside ours are slow, now and then. */
const TIMEOUT_MILLISECONDS = 45_000;

const PALETTE_MILLISECONDS = 3000;

/** Keys that nothing else is bound to, as Playwright calls them, and as VS Code does. */
const CLEAR_NOTIFICATIONS_KEYS = "Control+Alt+Shift+F12";
export const CLEAR_NOTIFICATIONS = CLEAR_NOTIFICATIONS_KEYS.replace("Control", "ctrl").toLowerCase();

const TOAST_MILLISECONDS = 1000;

const DIALOG_MILLISECONDS = 1000;

const MENU_MILLISECONDS = 3000;
const MENU_TRIES = 5;

const VIEW_MILLISECONDS = 5000;
const VIEW_TRIES = 9;

/** @typedef {import("playwright-core").Page} Page */
/** @typedef {import("playwright-core").Locator} Locator */

/**
 * @typedef {object} Message a toast or a dialog
 * @property {string} text
 * @property {string[]} buttons
 * @property {(button: string) => Promise<void>} click presses a button and waits until the message is gone
 */

export class Person {
  /** @type {string | undefined} */
  #screenshots;
  #screenshotCount = 0;

  /**
   * @param {Page} page
   * @param {{screenshots?: string}} [options] the folder for screenshots; without one, none are taken
   */
  constructor(page, { screenshots } = {}) {
    this.page = page;
    this.#screenshots = screenshots;
    if (screenshots) mkdirSync(screenshots, { recursive: true });
    page.setDefaultTimeout(TIMEOUT_MILLISECONDS);
  }

  /**
   * Does something in the user interface; should it fail, there is a screenshot of the moment.
   *
   * @template Result
   * @param {string} what names the act, and the screenshot
   * @param {(person: Person) => Promise<Result>} act
   * @returns {Promise<Result>}
   */
  async does(what, act) {
    try {
      return await act(this);
    } catch (error) {
      const path = await this.screenshot(`failed ${what}`).catch(() => undefined);
      if (error instanceof Error) error.message = `${what}: ${error.message}${path ? `\nScreenshot: ${path}` : ""}`;
      throw error;
    }
  }

  /**
   * Opens a view: by its icon in the activity bar or, for one among several in a container, by its header.
   *
   * @param {string} title
   */
  async openView(title) {
    // The label goes on with a key binding or a badge.
    const label = startsWith(title);
    const icon = this.page.locator(".activitybar").getByRole("tab", { name: label });
    const header = this.page
      .locator(".pane-header")
      .filter({ has: this.page.locator(".title", { hasText: whole(title) }) });
    await icon.or(header).first().waitFor();
    if ((await icon.count()) > 0) {
      await this.#openContainer(icon, title);
    } else if ((await header.getAttribute("aria-expanded")) !== "true") {
      await header.click();
    }
  }

  /**
   * @param {Locator} icon in the activity bar
   * @param {string} title
   */
  async #openContainer(icon, title) {
    const heading = this.page.locator(".sidebar .composite.title .title-label", { hasText: title });
    for (let tries = 1; ; tries++) {
      // A click on the icon of the open one would close it.
      if ((await icon.getAttribute("aria-selected")) !== "true") await icon.click();
      try {
        await heading.waitFor({ timeout: VIEW_MILLISECONDS });
        return;
      } catch (error) {
        // One that was asked for before, by a message's button for example, may have come in between.
        if (tries === VIEW_TRIES) throw error;
      }
    }
  }

  /**
   * The item of a tree with this label; what stands behind the label, as its description, doesn't matter.
   *
   * @param {string | RegExp} name
   * @returns {Locator}
   */
  treeItem(name) {
    return this.page.getByRole("treeitem").filter({ has: this.page.locator(".label-name", { hasText: whole(name) }) });
  }

  /**
   * Chooses from the context menu of an item; several entries lead through submenus.
   *
   * @param {Locator} item
   * @param {...string} entries
   */
  async contextMenu(item, ...entries) {
    await this.#openContextMenuWith(item, entries[0] ?? "");
    await this.choose(...entries);
  }

  /**
   * Chooses from a menu that is open; several entries lead through submenus.
   *
   * @param {...string} entries
   */
  async choose(...entries) {
    for (const [index, entry] of entries.entries()) {
      const found = this.#menuEntry(entry);
      await found.waitFor();
      await this.#menuHears();
      if (index < entries.length - 1) await found.hover();
      else await this.#press(found);
    }
  }

  /** Waits until a menu that is open hears the mouse: it has set a timer, and one that is set later rings later. */
  async #menuHears() {
    await this.page.evaluate(
      (milliseconds) => new Promise((resolve) => void setTimeout(resolve, milliseconds)),
      MENU_DEAF_MILLISECONDS,
    );
  }

  /** A menu that has not heard a click is still there. @param {Locator} entry of a menu that is open */
  async #press(entry) {
    for (let tries = 1; ; tries++) {
      await entry.click();
      try {
        await entry.waitFor({ state: "hidden", timeout: MENU_MILLISECONDS });
        return;
      } catch (error) {
        if (tries === MENU_TRIES) throw error;
      }
    }
  }

  /**
   * Opens the context menu of an item without choosing: to look at it. Escape closes it.
   *
   * @param {Locator} item of a tree
   * @returns {Promise<string[]>} its entries
   */
  async openContextMenu(item) {
    const labels = this.page.locator(".monaco-menu .action-menu-item .action-label");
    await item.waitFor();
    const end = Date.now() + TIMEOUT_MILLISECONDS;
    for (;;) {
      try {
        await this.restPointer();
        await item.click({ button: "right", timeout: MENU_MILLISECONDS });
        await labels.first().waitFor({ timeout: MENU_MILLISECONDS });
        // The one that is clicked gets the focus: another, where a row that came or went has moved them.
        if (await item.evaluate((row) => row.classList.contains("focused"), null, { timeout: MENU_MILLISECONDS })) {
          return (await labels.allInnerTexts()).map((label) => label.trim()).filter(Boolean);
        }
      } catch (error) {
        if (Date.now() > end) throw error;
      }
      if (Date.now() > end) throw new Error("The context menu that opens is that of another item");
      // In a tree, it would take the selection away.
      if (await labels.first().isVisible()) await this.page.keyboard.press("Escape");
    }
  }

  /**
   * Takes the pointer away from all there is: what VS Code says of an item on which it rests lies over others, and stays
   * there until the pointer goes.
   */
  async restPointer() {
    await this.page.mouse.move(0, 0);
  }

  /**
   * Selects items of a tree, and no others in it.
   *
   * @param {Locator[]} items
   */
  async select(items) {
    const selected = this.page.locator('.sidebar [role="treeitem"][aria-selected="true"]').filter({ visible: true });
    const end = Date.now() + TIMEOUT_MILLISECONDS;
    for (;;) {
      await this.restPointer();
      for (const [index, item] of items.entries()) await item.click(index > 0 ? { modifiers: ["Control"] } : {});
      const states = await Promise.all(items.map((item) => item.getAttribute("aria-selected")));
      if (states.every((state) => state === "true") && (await selected.count()) === items.length) return;
      // Rows that came or went have moved those under the mouse.
      if (Date.now() > end) throw new Error(`Selected are ${await selected.allInnerTexts()}`);
    }
  }

  /**
   * Runs a command from the command palette.
   *
   * @param {string} title as it stands there, with its category: "Diskloom: Attach Image"
   */
  async palette(title) {
    const input = this.page.locator(".quick-input-widget input.input");
    const row = this.#quickInputRow(title).first();
    const end = Date.now() + TIMEOUT_MILLISECONDS;
    for (;;) {
      try {
        await this.page.keyboard.press("F1");
        await input.fill(`>${title}`, { timeout: PALETTE_MILLISECONDS });
        await row.click({ timeout: PALETTE_MILLISECONDS });
        return;
      } catch (error) {
        // A webview that has just opened takes the focus when it is ready, which closes the palette again, at any
        // moment up to the click. A click that timed out has not been made, so none is made twice.
        if (Date.now() > end) throw error;
        // A window that has just opened knows nothing of its extensions' commands, and a palette that is open learns
        // nothing new.
        await this.page.keyboard.press("Escape");
      }
    }
  }

  /**
   * Picks from the list that VS Code shows; several texts where it lets one pick several.
   *
   * @param {string | RegExp | (string | RegExp)[]} text
   */
  async quickPick(text) {
    for (const one of [text].flat()) await this.#quickInputRow(one).first().click();
    if (Array.isArray(text)) await this.page.locator(".quick-input-widget").getByRole("button", { name: "OK" }).click();
  }

  /**
   * Types into VS Code's input box and confirms.
   *
   * @param {string} text
   */
  async inputBox(text) {
    const input = this.page.locator(".quick-input-widget input.input");
    await input.fill(text);
    await input.press("Enter");
  }

  /**
   * Chooses a file in VS Code's own file dialog, the one that windows on a server have.
   *
   * @param {string} title
   * @param {string} path
   */
  async fileDialog(title, path) {
    const dialog = this.page.locator(".quick-input-widget").filter({
      has: this.page.locator(".quick-input-title", { hasText: whole(title) }),
    });
    // It is ready once it lists the folder that it opens with.
    await dialog.locator(".quick-input-list .monaco-list-row").first().waitFor();
    const input = dialog.locator("input.input");
    await input.fill(path);
    const end = Date.now() + TIMEOUT_MILLISECONDS;
    for (;;) {
      try {
        await input.press("Enter", { timeout: DIALOG_MILLISECONDS });
        await dialog.waitFor({ state: "hidden", timeout: DIALOG_MILLISECONDS });
        return;
      } catch (error) {
        // It hears no Enter while it looks at what was typed.
        if (!(await dialog.isVisible())) return;
        if (Date.now() > end) throw error;
      }
    }
  }

  /**
   * Waits for a notification.
   *
   * @param {string | RegExp} text a part of it
   * @returns {Promise<Message>}
   */
  toast(text) {
    const toast = this.page.locator(".notifications-toasts .notification-toast").filter({ hasText: text }).first();
    return message(
      toast,
      ".notification-list-item-message",
      ".notification-list-item-buttons-container .monaco-button",
    );
  }

  /** Clears away all notifications. */
  async dismissToasts() {
    const toasts = this.page.locator(".notifications-toasts .notification-toast");
    const end = Date.now() + TIMEOUT_MILLISECONDS;
    while ((await toasts.count()) > 0) {
      await this.page.keyboard.press(CLEAR_NOTIFICATIONS_KEYS);
      try {
        await toasts.first().waitFor({ state: "detached", timeout: TOAST_MILLISECONDS });
      } catch (error) {
        // Keys are lost on a page in a page that is just being loaded.
        if (Date.now() > end) throw error;
      }
    }
  }

  /**
   * Waits for a modal dialog.
   *
   * @param {string | RegExp} text a part of it
   * @returns {Promise<Message>}
   */
  dialog(text) {
    const dialog = this.page.locator(".monaco-dialog-box").filter({ hasText: text });
    return message(dialog, ".dialog-message-container", ".dialog-buttons .monaco-button");
  }

  /**
   * The inside of a webview.
   *
   * @param {string} title of its editor or view
   * @returns {Promise<import("playwright-core").Frame>}
   */
  async webview(title) {
    const deadline = Date.now() + TIMEOUT_MILLISECONDS;
    while (Date.now() < deadline) {
      for (const frame of this.page.frames()) {
        // A frame may go away while it is looked at: it is not the one, then.
        const element = await frame.frameElement().catch(() => undefined);
        const id = await element?.getAttribute("id").catch(() => undefined);
        const found = await element?.getAttribute("title").catch(() => undefined);
        if (id === "active-frame" && found === title) return frame;
      }
      await this.page.waitForTimeout(100);
    }
    throw new Error(`No webview “${title}” within ${TIMEOUT_MILLISECONDS / 1000} s`);
  }

  /**
   * Takes a screenshot.
   *
   * @param {string} name
   * @returns {Promise<string | undefined>} its file, if screenshots are taken
   */
  async screenshot(name) {
    if (!this.#screenshots) return undefined;
    const number = String(++this.#screenshotCount).padStart(2, "0");
    const path = join(this.#screenshots, `${number}-${name.replace(/[^\p{L}\p{N}]+/gu, "-")}.png`);
    await this.page.screenshot({ path });
    return path;
  }

  /**
   * Opens the menu again until it has the entry, to be chosen: an extension's entries, and the conditions on which they
   * show, come some time after the item does. In its first moments, VS Code takes every workspace for untrusted.
   *
   * @param {Locator} item
   * @param {string} entry
   */
  async #openContextMenuWith(item, entry) {
    const deadline = Date.now() + TIMEOUT_MILLISECONDS;
    for (;;) {
      const entries = await this.openContextMenu(item);
      const found = this.#menuEntry(entry);
      if (entries.includes(entry) && (await found.getAttribute("aria-disabled")) !== "true") return;
      if (Date.now() > deadline) throw new Error(`No “${entry}” in the context menu: ${entries.join(", ")}`);
      await this.page.keyboard.press("Escape");
      await this.page.waitForTimeout(MENU_RETRY_MILLISECONDS);
    }
  }

  /**
   * @param {string} entry
   * @returns {Locator}
   */
  #menuEntry(entry) {
    const label = this.page.locator(".action-label", { hasText: whole(entry) });
    return this.page.locator(".monaco-menu .action-menu-item").filter({ has: label }).first();
  }

  /**
   * @param {string | RegExp} text
   * @returns {Locator}
   */
  #quickInputRow(text) {
    const label = this.page.locator(".label-name", { hasText: whole(text) });
    return this.page.locator(".quick-input-list .monaco-list-row").filter({ has: label });
  }
}

/**
 * @param {Locator} box
 * @param {string} textSelector
 * @param {string} buttonSelector
 * @returns {Promise<Message>}
 */
async function message(box, textSelector, buttonSelector) {
  await box.waitFor();
  const buttons = (await box.locator(buttonSelector).allInnerTexts()).map((label) => label.trim()).filter(Boolean);
  return {
    // What a person sees, with its line breaks.
    text: (await box.locator(textSelector).innerText()).trim(),
    buttons,
    click: async (button) => {
      await box
        .locator(buttonSelector)
        .filter({ hasText: whole(button) })
        .click();
      await box.waitFor({ state: "detached" });
    },
  };
}

/**
 * @param {string | RegExp} text
 * @returns {RegExp} matches that text and nothing around it
 */
function whole(text) {
  return text instanceof RegExp ? text : new RegExp(`^\\s*${quoted(text)}\\s*$`);
}

/**
 * @param {string} text
 * @returns {RegExp} matches what begins with that text and goes on with another word
 */
function startsWith(text) {
  return new RegExp(`^${quoted(text)}(?![\\p{L}\\p{N}])`, "u");
}

/**
 * @param {string} text
 * @returns {string}
 */
function quoted(text) {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
