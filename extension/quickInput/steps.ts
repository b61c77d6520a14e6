/*
 * Questions asked one after the other in VS Code's quick input, with a way back: each step is one pick or one line of
 * text. Which steps there are may depend on what was answered before.
 */
import * as vscode from "vscode";

type Way = "next" | "back" | "away";

/** Where a step stands among the others, as its title shows it. */
interface Place {
  title: string;
  step: number;
  totalSteps: number;
}

/** Asks one thing and keeps the answer itself. */
export type Step = (place: Place) => Promise<Way>;

/**
 * Goes through the steps, back and forth.
 * @param steps is asked again after each answer
 * @returns whether the last one was answered; otherwise the user went away
 */
export async function ask(title: string, steps: () => readonly Step[]): Promise<boolean> {
  for (let index = 0; ; ) {
    const all = steps();
    const step = all[index];
    if (!step) {
      return true;
    }
    const way = await step({ title, step: index + 1, totalSteps: all.length });
    if (way === "away") {
      return false;
    }
    index += way === "next" ? 1 : -1;
  }
}

/** @param active the item that Enter takes */
export function pickOne<T extends vscode.QuickPickItem>(
  placeholder: string,
  items: readonly T[],
  active: T | undefined,
  answered: (item: T) => void,
): Step {
  return (place) =>
    run(Object.assign(vscode.window.createQuickPick<T>(), { placeholder, items }), place, (input) => {
      input.activeItems = active ? [active] : [];
      return () => {
        const [item] = input.selectedItems;
        if (item) {
          answered(item);
        }
        return item !== undefined;
      };
    });
}

/** @param selected the items that are ticked already */
export function pickSeveral<T extends vscode.QuickPickItem>(
  placeholder: string,
  items: readonly T[],
  selected: readonly T[],
  answered: (items: readonly T[]) => void,
): Step {
  return (place) =>
    run(Object.assign(vscode.window.createQuickPick<T>(), { placeholder, items }), place, (input) => {
      input.canSelectMany = true;
      input.selectedItems = selected;
      return () => {
        answered(input.selectedItems);
        return true;
      };
    });
}

/** @param objection what is wrong with a text, in a sentence; `undefined` where nothing is */
export function typeText(
  prompt: string,
  value: string,
  objection: (text: string) => string | undefined,
  answered: (text: string) => void,
): Step {
  return (place) =>
    run(Object.assign(vscode.window.createInputBox(), { prompt, value }), place, (input) => {
      input.onDidChangeValue((text) => {
        input.validationMessage = objection(text);
      });
      return () => {
        input.validationMessage = objection(input.value);
        if (input.validationMessage !== undefined) {
          return false;
        }
        answered(input.value);
        return true;
      };
    });
}

/** @param prepare returns what takes the answer and says whether it is one */
async function run<I extends vscode.QuickPick<vscode.QuickPickItem> | vscode.InputBox>(
  input: I,
  place: Place,
  prepare: (input: I) => () => boolean,
): Promise<Way> {
  // Who looks something up meanwhile finds the answers given so far still there.
  Object.assign(input, place, { ignoreFocusOut: true });
  input.buttons = place.step > 1 ? [vscode.QuickInputButtons.Back] : [];
  try {
    const accept = prepare(input);
    return await new Promise<Way>((resolve) => {
      input.onDidTriggerButton(() => resolve("back"));
      input.onDidAccept(() => {
        if (accept()) {
          resolve("next");
        }
      });
      input.onDidHide(() => resolve("away"));
      input.show();
    });
  } finally {
    input.dispose();
  }
}
