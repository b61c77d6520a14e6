import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./helper";

/** package.json with its texts in English, as JSON: what VS Code makes of it. */
export function englishManifest(): string {
  const texts: Record<string, string> = JSON.parse(readFileSync(join(root, "package.nls.json"), "utf8"));
  const manifest = readFileSync(join(root, "package.json"), "utf8");
  return manifest.replace(/"%([\w.]+)%"/g, (_, key) => JSON.stringify(texts[key]));
}
