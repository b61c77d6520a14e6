/// <reference lib="dom" />
/*
 * The keyboard's way through the segments: one of them is in the tab order, the arrow keys go on from there. Left and
 * right follow the bar, up and down go out of and into containers.
 */

/** @param faces in the bar's order */
export function walkable(faces: readonly HTMLButtonElement[], initial: string | undefined): void {
  const visit = (face: HTMLElement | null | undefined, focus: boolean) => {
    if (face) {
      for (const other of faces) {
        other.tabIndex = other === face ? 0 : -1;
      }
      if (focus) {
        face.focus();
        face.scrollIntoView({ block: "nearest", inline: "nearest" });
      }
    }
  };
  for (const [index, face] of faces.entries()) {
    face.addEventListener("focus", () => visit(face, false));
    face.addEventListener("keydown", (event) => {
      const item = face.closest("li");
      const ways: Record<string, () => HTMLElement | null | undefined> = {
        ArrowRight: () => faces[index + 1],
        ArrowLeft: () => faces[index - 1],
        ArrowUp: () => item?.parentElement?.closest("li")?.querySelector<HTMLElement>(":scope > .box > .face"),
        ArrowDown: () => item?.querySelector<HTMLElement>(":scope > .box > .bar .face"),
        Home: () => faces[0],
        End: () => faces.at(-1),
      };
      const way = ways[event.key];
      if (way && !event.ctrlKey && !event.altKey && !event.metaKey && !event.shiftKey) {
        event.preventDefault();
        visit(way(), true);
      }
    });
  }
  visit(faces.find((face) => face.dataset.id === initial) ?? faces[0], false);
}
