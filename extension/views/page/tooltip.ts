/// <reference lib="dom" />
/* All details of a segment, beside it, while the mouse or the keyboard's focus is on it. Escape takes them away. */
import type { Segment } from "../messages";
import { element } from "./dom";
import { details } from "./words";

const DELAY = 300;
const DISTANCE = 6;

export class Tooltip {
  // What it says is in the buttons' labels, too: nobody needs to hear it twice.
  readonly #box = element("div", { class: "tooltip", "aria-hidden": "true", hidden: "" });
  #timer: ReturnType<typeof setTimeout> | undefined;
  #frame = 0;

  constructor() {
    document.body.append(this.#box);
    document.addEventListener("keydown", ({ key }) => key === "Escape" && this.hide());
    document.addEventListener("scroll", () => this.hide(), { capture: true, passive: true });
    this.#box.addEventListener("mouseleave", () => this.hide());
  }

  get shown(): boolean {
    return !this.#box.hidden;
  }

  attach(face: HTMLElement, segment: Segment): void {
    face.addEventListener("mouseenter", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#show(face, segment), DELAY);
    });
    face.addEventListener("mouseleave", ({ relatedTarget }) => {
      if (!(relatedTarget instanceof Node && this.#box.contains(relatedTarget))) {
        this.hide();
      }
    });
    face.addEventListener("focus", () => {
      if (face.matches(":focus-visible")) {
        this.#afterNextFrame(() => face.matches(":focus") && this.#show(face, segment));
      }
    });
    face.addEventListener("blur", () => this.hide());
  }

  /** Takes it away, and what was about to show it, too. */
  hide(): void {
    clearTimeout(this.#timer);
    cancelAnimationFrame(this.#frame);
    this.#box.hidden = true;
  }

  /** Focus may scroll the bar, which would take it away again. */
  #afterNextFrame(show: () => void): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => {
      this.#frame = requestAnimationFrame(show);
    });
  }

  #show(face: HTMLElement, segment: Segment): void {
    const rows = details(segment).flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]);
    this.#box.replaceChildren(element("strong", {}, segment.title), element("dl", {}, ...rows));
    this.#box.hidden = false;
    const place = face.getBoundingClientRect();
    const { width, height } = this.#box.getBoundingClientRect();
    const left = Math.min(place.left, document.documentElement.clientWidth - width - DISTANCE);
    const below = place.bottom + DISTANCE;
    const fitsBelow = below + height <= document.documentElement.clientHeight;
    this.#box.style.left = `${Math.max(DISTANCE, left)}px`;
    this.#box.style.top = `${fitsBelow ? below : Math.max(DISTANCE, place.top - height - DISTANCE)}px`;
  }
}
