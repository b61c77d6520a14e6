/// <reference lib="dom" />
/* Stands for "vscode" in the page's bundle: what is written for both sides asks it for the user's language and words. */
import * as v from "valibot";
import { translator } from "../translator";

const words = v.parse(
  v.record(v.string(), v.string()),
  JSON.parse(document.getElementById("words")?.textContent ?? "{}"),
);

export const env = { language: document.documentElement.lang };
export const l10n = { t: translator(words) };
