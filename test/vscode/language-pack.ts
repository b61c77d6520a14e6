/* A language pack that has no words: VS Code's own stay English, and extensions are asked for theirs. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Puts one into a folder for --user-data-dir, as VS Code notes there which it has installed. The folder is made.
 * @param language "de"
 */
export function installLanguagePack(userData: string, language: string): void {
  mkdirSync(userData, { recursive: true });
  const words = join(userData, "no-words.json");
  writeFileSync(words, JSON.stringify({ version: "1.0.0", contents: {} }));
  const extensions = [{ extensionIdentifier: { id: `diskloom-test.${language}` }, version: "1.0.0" }];
  const pack = { hash: "no-words", label: language, extensions, translations: { vscode: words } };
  writeFileSync(join(userData, "languagepacks.json"), JSON.stringify({ [language]: pack }));
}
