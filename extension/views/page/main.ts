/// <reference lib="dom" />
/* The disk map's page: draws each picture that the host sends, and tells it which buttons are pressed. */
import * as v from "valibot";
import { l10n } from "vscode";
import { type Action, type Picture, type Segment, type Target, type ToHost, ToPage } from "../messages";
import { type Bar, makeBar } from "./bar";
import { element } from "./dom";
import { makeHeader, makeLegend, makeNotice } from "./header";
import { makeTable, type Table } from "./table";
import { Tooltip } from "./tooltip";
import { walkable } from "./walk";
import { flattened } from "./words";

interface VsCode {
  postMessage(message: ToHost): void;
  setState(state: { target: Target }): void;
}
declare function acquireVsCodeApi(): VsCode;

const vscode = acquireVsCodeApi();
const main = document.getElementById("map") ?? document.body;
const tooltip = new Tooltip();
// It stays while all else is drawn anew: only then is what it says read aloud.
const status = element("div", { class: "unseen", role: "status" });
document.body.append(status);

let selected: string | undefined;
let fit = () => {};
new ResizeObserver(() => fit()).observe(main);

window.addEventListener("message", ({ data }) => {
  const parsed = v.safeParse(ToPage, data);
  if (parsed.success) {
    vscode.setState({ target: parsed.output.target });
    draw(parsed.output.picture);
  }
});
vscode.postMessage({ type: "ready" });

function draw(picture: Picture): void {
  const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.id : undefined;
  const scrolled = main.querySelector(".scroller")?.scrollLeft ?? 0;
  const detailed = tooltip.shown;
  tooltip.hide();
  const said = picture.notices.map(({ text }) => text).join(" ");
  if (status.textContent !== said) {
    status.textContent = said;
  }
  const act = ({ deed }: Action) => vscode.postMessage({ type: "act", deed });
  main.replaceChildren(
    makeHeader(picture, act),
    ...picture.notices.map((notice) => makeNotice(notice, act)),
    ...(picture.segments.length > 0 ? drawSegments(picture, focused, detailed) : []),
  );
  fit();
  main.querySelector(".scroller")?.scrollTo({ left: scrolled });
}

function drawSegments({ title, segments }: Picture, focused: string | undefined, detailed: boolean): HTMLElement[] {
  const bar = makeBar(segments, l10n.t("Segments of {0}", title));
  const table = makeTable(segments, ({ deed }, segment) =>
    vscode.postMessage({ type: "act", deed, segment: segment.id }),
  );
  const scroller = element("div", { class: "scroller" }, bar.root);
  fit = () => bar.fit(scroller.clientWidth - scrollerPadding);
  walkable([...bar.faces.values()], focused ?? selected);
  connect(bar, table, segments);
  // Once it is in the page, it can have the focus again; its details only if nobody had sent them away.
  queueMicrotask(() => {
    if (focused !== undefined) {
      bar.faces.get(focused)?.focus();
    }
    if (!detailed) {
      tooltip.hide();
    }
  });
  return [scroller, makeLegend(segments), element("div", { class: "rows" }, table.root)];
}

/** Twice 4 px, as the style sheet has it: room for the focus ring. */
const scrollerPadding = 8;

function connect({ faces }: Bar, { rows }: Table, segments: readonly Segment[]): void {
  const select = (id: string | undefined) => {
    selected = id;
    for (const [other, face] of faces) {
      face.setAttribute("aria-pressed", `${other === id}`);
    }
    for (const [other, row] of rows) {
      row.classList.toggle("selected", other === id);
    }
  };
  for (const { segment } of flattened(segments)) {
    const face = faces.get(segment.id);
    const row = rows.get(segment.id);
    if (face && row) {
      tooltip.attach(face, segment);
      face.addEventListener("click", () => {
        select(segment.id);
        row.scrollIntoView({ block: "nearest" });
      });
      row.addEventListener("click", () => {
        select(segment.id);
        face.scrollIntoView({ block: "nearest", inline: "nearest" });
      });
      row.addEventListener("mouseenter", () => face.classList.add("pointed"));
      row.addEventListener("mouseleave", () => face.classList.remove("pointed"));
    }
  }
  select(selected !== undefined && faces.has(selected) ? selected : undefined);
}
