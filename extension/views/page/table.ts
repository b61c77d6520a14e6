/// <reference lib="dom" />
/* The table below the bar: a row for each segment. */
import { l10n } from "vscode";
import { formatSize, sizeInFull } from "../../devices/format";
import type { Action, Segment } from "../messages";
import { element } from "./dom";
import { contentOf, flattened, usedText } from "./words";

export interface Table {
  root: HTMLElement;
  rows: ReadonlyMap<string, HTMLTableRowElement>;
}

interface Column {
  title: string;
  className: string;
  /** Columns in which no segment has anything are left out. */
  optional: boolean;
  text(segment: Segment): string;
  hint?(segment: Segment): string;
}

const columns: Column[] = [
  { title: l10n.t("Name"), className: "name", optional: true, text: ({ name }) => name },
  {
    title: l10n.t("Content"),
    className: "content",
    optional: false,
    text: (segment) =>
      [contentOf(segment), segment.family === "other" || segment.family === "empty" ? segment.purpose : ""]
        .filter(Boolean)
        .join(" · "),
  },
  {
    title: l10n.t("Start"),
    className: "size",
    optional: true,
    text: ({ start }) => (start === null ? "" : formatSize(start)),
    hint: ({ start }) => (start === null ? "" : sizeInFull(start)),
  },
  {
    title: l10n.t("Size"),
    className: "size",
    optional: false,
    text: ({ size }) => formatSize(size),
    hint: ({ size }) => sizeInFull(size),
  },
  { title: l10n.t("Used"), className: "size used", optional: true, text: unbroken },
  { title: l10n.t("Mounted at"), className: "mount", optional: true, text: ({ mountedAt }) => mountedAt.join(", ") },
  { title: l10n.t("Note"), className: "mount", optional: true, text: ({ oddities }) => oddities.join(" ") },
];

/** How full it is, to be broken before the bracket only. */
function unbroken(segment: Segment): string {
  return usedText(segment).replace(/ (?!\()/g, "\u00a0");
}

export function makeTable(segments: readonly Segment[], act: (action: Action, segment: Segment) => void): Table {
  const all = flattened(segments);
  const shown = columns.filter(({ optional, text }) => !optional || all.some(({ segment }) => text(segment) !== ""));
  const hasActions = all.some(({ segment }) => segment.actions.length > 0);
  const rows = new Map<string, HTMLTableRowElement>();

  const head = element(
    "tr",
    {},
    element("th", { scope: "col" }, l10n.t("Segment")),
    ...shown.map(({ title, className }) => element("th", { scope: "col", class: className }, title)),
    hasActions
      ? element("th", { scope: "col", class: "actions" }, element("span", { class: "unseen" }, l10n.t("Actions")))
      : undefined,
  );
  for (const { segment, depth } of all) {
    const cells = shown.map(({ className, text, hint }) =>
      element("td", { class: className, title: hint?.(segment) ?? "" }, text(segment)),
    );
    const buttons = segment.actions.map((action) => {
      const name = `${action.title} ${segment.title}`;
      const button = element("button", { class: "secondary", type: "button", "aria-label": name }, action.title);
      button.addEventListener("click", (event) => {
        event.stopPropagation();
        act(action, segment);
      });
      return button;
    });
    const swatch = element("span", { class: "swatch", "aria-hidden": "true" });
    // In the place of the column of names, where there is no room for it.
    const subtitle = segment.name ? element("span", { class: "subtitle" }, segment.name) : undefined;
    const title = element("th", { scope: "row" }, element("span", { class: "title" }, swatch, segment.title), subtitle);
    title.style.setProperty("--depth", `${depth}`);
    const row = element(
      "tr",
      { class: `family-${segment.family}`, "data-id": segment.id },
      title,
      ...cells,
      hasActions ? element("td", { class: "actions" }, ...buttons) : undefined,
    );
    rows.set(segment.id, row);
  }
  const root = element(
    "table",
    {},
    element("caption", { class: "unseen" }, l10n.t("All segments")),
    element("thead", {}, head),
    element("tbody", {}, ...rows.values()),
  );
  return { root, rows };
}
