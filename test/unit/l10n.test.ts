/* The translations: nothing that is shown is left out, nothing is left over, and what is filled in or clicked is the same. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { translator } from "../../extension/views/translator";
import { root } from "../helper";

const LANGUAGES = ["de"];

type Texts = Record<string, string>;
const read = (name: string) => readFileSync(join(root, name), "utf8");
const textsIn = (name: string): Texts => JSON.parse(read(name));

/** The English sentences, from the places where they are asked for. */
function sentences(): Set<string> {
  const found = new Set<string>();
  for (const name of readdirSync(join(root, "extension"), { recursive: true, encoding: "utf8" })) {
    if (name.endsWith(".ts")) {
      const source = read(join("extension", name));
      for (const { index } of source.matchAll(/\bl10n\.t\(/g)) {
        // Others than these can't be found in the sources, by us or by @vscode/l10n-dev.
        const [, literal] = /^l10n\.t\(\s*("(?:[^"\\\n]|\\.)*")\s*[,)]/.exec(source.slice(index)) ?? [];
        assert.ok(literal, `not a plain string in ${name}: ${source.slice(index, index + 80)}`);
        found.add(JSON.parse(literal));
      }
    }
  }
  return found;
}

const sorted = (texts: Iterable<string>) => [...texts].sort();
/** What stands for something else: "{0}", "$(check)", and where a link leads. */
const marks = (text: string) => sorted(text.match(/\{\d+\}|\$\([\w~-]+\)|\(command:[^)]*\)|`[^`]+`/g) ?? []);

function assertTranslates(translated: Texts, english: Texts): void {
  assert.deepEqual(sorted(Object.keys(translated)), sorted(Object.keys(english)));
  for (const [key, text] of Object.entries(english)) {
    const its = translated[key] ?? "";
    assert.ok(its.trim(), `nothing for “${text}”`);
    assert.deepEqual(marks(its), marks(text), `“${its}” for “${text}”`);
  }
}

for (const language of LANGUAGES) {
  describe(`the translation to ${language}`, () => {
    test("has every sentence of the extension, and no other", () => {
      const english = Object.fromEntries([...sentences()].map((sentence) => [sentence, sentence]));
      assert.ok(Object.keys(english).length > 400);
      assertTranslates(textsIn(`l10n/bundle.l10n.${language}.json`), english);
    });

    test("has every text of package.json, and no other", () => {
      assertTranslates(textsIn(`package.nls.${language}.json`), textsIn("package.nls.json"));
    });
  });
}

test("package.json has none of its texts in itself", () => {
  const texts = textsIn("package.nls.json");
  const used = new Set<string>();
  const shown =
    /^(title|name|description|displayName|contents|altText|aliases|\w*[dD]escription|\w*[eE]numDescriptions)$/;
  const visit = (value: unknown, place: string, isShown: boolean): void => {
    if (typeof value === "string") {
      const [, key] = /^%(.+)%$/.exec(value) ?? [];
      if (key !== undefined) {
        assert.ok(texts[key], `${place}: ${key} is no text`);
        used.add(key);
      } else if (isShown) {
        assert.equal(value, "Diskloom", `${place} can't be translated`);
      }
    } else if (typeof value === "object" && value !== null) {
      for (const [name, inner] of Object.entries(value)) {
        // The names of settings and tasks' properties are no words.
        const isName = place.endsWith("/properties");
        visit(inner, `${place}/${name}`, Array.isArray(value) ? isShown : !isName && shown.test(name));
      }
    }
  };
  const { description, capabilities, contributes, l10n } = JSON.parse(read("package.json"));
  visit({ description, capabilities, contributes }, "", false);
  assert.deepEqual(sorted(used), sorted(Object.keys(texts)));
  assert.equal(l10n, "./l10n");
});

test("without VS Code, sentences are filled in as VS Code does it", () => {
  const german = translator(textsIn("l10n/bundle.l10n.de.json"));
  assert.equal(german("{0} is attached as {1}.", "a.img", "loop3"), "a.img ist als loop3 angehängt.");
  assert.equal(german("{0} of {1} used", "$1 {1}", 3), "$1 {1} von 3 belegt");
  const english = translator({});
  assert.equal(english("{0} is attached as {1}.", "a.img", "loop3"), "a.img is attached as loop3.");
  assert.equal(english("{0} of {1} used", 1), "1 of {1} used");
});
