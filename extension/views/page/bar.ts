/// <reference lib="dom" />
/* The bar: a list of segments side by side, each with a button to point at and, in it, the bar of what it contains. */
import { l10n } from "vscode";
import { formatSize } from "../../devices/format";
import type { Segment } from "../messages";
import { widths } from "../widths";
import { element } from "./dom";
import { contentOf, nameOf, spoken, usedPercent } from "./words";

/** What a segment needs to be seen and pressed, and what a container takes for itself; CSS pixels. */
const LEAST = 38;
const CHROME = 14;

export interface Bar {
  root: HTMLElement;
  /** The buttons by segment. */
  faces: ReadonlyMap<string, HTMLButtonElement>;
  /** Shares the room among the segments. */
  fit(room: number): void;
}

export function makeBar(segments: readonly Segment[], name: string): Bar {
  const faces = new Map<string, HTMLButtonElement>();
  const root = makeList(segments, name, faces);
  return {
    root,
    faces,
    fit(room) {
      const width = Math.max(room, leastOf(segments));
      root.style.width = `${width}px`;
      fitList(root, segments, width);
    },
  };
}

function makeList(segments: readonly Segment[], name: string, faces: Map<string, HTMLButtonElement>): HTMLElement {
  const items = segments.map((segment) => makeItem(segment, faces));
  return element("ul", { class: "bar", role: "list", "aria-label": name }, ...items);
}

function makeItem(segment: Segment, faces: Map<string, HTMLButtonElement>): HTMLElement {
  const { id, kind, family, children } = segment;
  if (kind === "rest") {
    return element("li", { class: "segment rest", role: "presentation", "aria-hidden": "true" });
  }
  const face = makeFace(segment);
  faces.set(id, face);
  const isContainer = children.length > 0;
  const box = element(
    "div",
    { class: "box" },
    face,
    isContainer ? makeList(children, l10n.t("In {0}", nameOf(segment)), faces) : undefined,
  );
  return element(
    "li",
    { class: `segment ${kind} family-${family}${isContainer ? " container" : ""}`, role: "listitem" },
    box,
  );
}

function makeFace(segment: Segment): HTMLButtonElement {
  const { id, kind, number, size, children, oddities } = segment;
  const percent = usedPercent(segment);
  const isContainer = children.length > 0;
  const fill = percent !== undefined && !isContainer ? element("span", { class: "fill" }) : undefined;
  if (fill) {
    fill.style.width = `${percent}%`;
  }
  const badge =
    number === null ? undefined : element("span", { class: "number" }, `${number}${oddities.length > 0 ? " ⚠" : ""}`);
  const about = kind === "free" ? formatSize(size) : `${contentOf({ ...segment, label: "" })} · ${formatSize(size)}`;
  const text = element(
    "span",
    { class: "text" },
    element("span", { class: "first" }, badge, element("span", { class: "name" }, nameOf(segment))),
    element("span", { class: "about" }, about),
    percent === undefined ? undefined : element("span", { class: "about used" }, l10n.t("{0} % used", percent)),
  );
  return element(
    "button",
    {
      class: "face",
      type: "button",
      tabindex: "-1",
      "data-id": id,
      "aria-label": spoken(segment),
      "aria-pressed": "false",
    },
    element("span", { class: "band" }),
    fill,
    text,
  );
}

function leastOf(segments: readonly Segment[]): number {
  return segments.reduce((sum, { kind, children }) => {
    const own = children.length > 0 ? leastOf(children) + CHROME : LEAST;
    return sum + (kind === "rest" ? 4 : Math.max(LEAST, own));
  }, 0);
}

function fitList(list: Element, segments: readonly Segment[], width: number): void {
  const shares = widths(segments.map((segment) => ({ size: segment.size, least: (leastOf([segment]) / width) * 100 })));
  for (const [index, item] of [...list.children].entries()) {
    const segment = segments[index];
    const share = shares[index] ?? 0;
    if (segment && item instanceof HTMLElement) {
      item.style.width = `${share}%`;
      const inner = item.querySelector(":scope > .box > .bar");
      if (inner) {
        fitList(inner, segment.children, (share / 100) * width - CHROME);
      }
    }
  }
}
