/* Stands for "vscode" in tests that run without one: its words, in English. */
import { translator } from "../extension/views/translator";

export const env = { language: "en" };
export const l10n = { t: translator({}) };
