/// <reference lib="dom" />
/* What stands above the bar: of what it is the map, what can be done with it, and what is to be said of it. */
import { l10n } from "vscode";
import type { Action, Family, Notice, Picture, Segment } from "../messages";
import { element } from "./dom";
import { familyNames, flattened } from "./words";

export function makeHeader({ title, path, facts, actions }: Picture, act: (action: Action) => void): HTMLElement {
  const buttons = actions.map((action, index) => makeButton(action, index === 0 ? "primary" : "secondary", act));
  return element(
    "header",
    {},
    element(
      "div",
      { class: "heading" },
      element("h1", {}, title),
      facts.length > 0 ? element("p", { class: "facts" }, facts.join(" · ")) : undefined,
      path ? element("p", { class: "path" }, path) : undefined,
    ),
    buttons.length > 0 ? element("div", { class: "toolbar" }, ...buttons) : undefined,
  );
}

export function makeNotice({ level, text, action }: Notice, act: (action: Action) => void): HTMLElement {
  const names = { info: l10n.t("Information"), warning: l10n.t("Warning"), error: l10n.t("Error") };
  const sign = element("span", { class: "sign", "aria-hidden": "true" }, level === "info" ? "i" : "!");
  return element(
    "div",
    { class: `notice ${level}`, role: "note", "aria-label": names[level] },
    sign,
    element("p", {}, text),
    action ? makeButton(action, "secondary", act) : undefined,
  );
}

/** What the colours mean; the table and the bars say it in words, too. */
export function makeLegend(segments: readonly Segment[]): HTMLElement {
  const families = new Set<Family>(flattened(segments).map(({ segment }) => segment.family));
  const items = [...families].map((family) =>
    element("li", { class: `family-${family}` }, element("span", { class: "swatch" }), familyNames[family]),
  );
  return element("ul", { class: "legend", "aria-hidden": "true" }, ...items);
}

function makeButton(action: Action, className: string, act: (action: Action) => void): HTMLButtonElement {
  const button = element("button", { class: className, type: "button" }, action.title);
  button.addEventListener("click", () => act(action));
  return button;
}
