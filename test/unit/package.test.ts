/* The packages, made from this folder as it is built, and once more from another one by another user's habits. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cpSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { root } from "../helper";
import { run, Workshop } from "../images";
import { readZip } from "../zip";

// elf(5), e_machine in elf.h; the C library's name is in the file as what it needs.
const EM_X86_64 = 62;
const EM_AARCH64 = 183;
const packages = [
  { target: "linux-x64", native: "linux-x64-glibc", machine: EM_X86_64, libc: "libc.so.6" },
  { target: "linux-arm64", native: "linux-arm64-glibc", machine: EM_AARCH64, libc: "libc.so.6" },
  { target: "alpine-x64", native: "linux-x64-musl", machine: EM_X86_64, libc: "libc.musl-x86_64.so.1" },
  { target: "alpine-arm64", native: "linux-arm64-musl", machine: EM_AARCH64, libc: "libc.musl-aarch64.so.1" },
];

const place = new Workshop();
const elsewhere = place.path("another folder");
/** By target. */
const made = new Map<string, string>();

before(async () => {
  const tools: typeof import("../tools/package.mjs") = await import(
    pathToFileURL(join(root, "test/tools/package.mjs")).href
  );
  for (const { target } of packages) {
    made.set(target, tools.packageExtension(target));
  }
});

after(() => place[Symbol.dispose]());

function madeFor(target: string): string {
  const file = made.get(target);
  assert.ok(file);
  return file;
}

for (const { target, native, machine, libc } of packages) {
  describe(`the package for ${target}`, () => {
    test("has its own native file and no other", () => {
      const files = readZip(madeFor(target));
      const natives = [...files].filter(([name]) => name.endsWith(".node"));
      assert.deepEqual(
        natives.map(([name]) => name),
        [`extension/dist/native/${native}/koffi.node`],
      );
      const [[, elf = Buffer.alloc(0)] = []] = natives;
      assert.equal(elf.toString("latin1", 0, 4), "\x7fELF");
      assert.equal(elf.readUInt16LE(18), machine);
      assert.ok(elf.includes(`\0${libc}\0`), `it doesn't need ${libc}`);
    });

    test("has what is needed at run time and nothing else", () => {
      const names = [...readZip(madeFor(target)).keys()].filter((name) => !name.endsWith(".node"));
      const expected = [
        /^\[Content_Types\]\.xml$/,
        /^extension\.vsixmanifest$/,
        /^extension\/(package(\.nls(\.[\w-]+)?)?\.json|readme\.md|changelog\.md|LICENSE\.txt)$/,
        /^extension\/l10n\/[\w.-]+\.json$/,
        /^extension\/dist\/\w+\.js$/,
        // Not the README's pictures, which are large.
        /^extension\/media\/(?!screenshots)(\w+\/)?[\w-]+\.(svg|css|png)$/,
      ];
      assert.deepEqual(
        names.filter((name) => !expected.some((pattern) => pattern.test(name))),
        [],
      );
      for (const name of [
        "package.json",
        "package.nls.json",
        "package.nls.de.json",
        "l10n/bundle.l10n.de.json",
        "dist/extension.js",
        "dist/languageClient.js",
        "dist/helper.js",
        "dist/engine.js",
      ]) {
        assert.ok(names.includes(`extension/${name}`), `${name} is missing`);
      }
    });

    test("says what it is for", () => {
      const manifest = readZip(madeFor(target)).get("extension.vsixmanifest")?.toString() ?? "";
      assert.match(manifest, new RegExp(`TargetPlatform="${target}"`));
      assert.match(manifest, /ExtensionKind" Value="workspace"/);
    });
  });
}

test("made from another folder, with another umask and in another time zone, they are the same byte for byte", () => {
  // What was made, and what was downloaded for other tests, isn't a part of the project.
  const others = [".git", "dist", ".sample", "test/guest/.cache", "test/vscode/host/node_modules", "test/vscode/shots"];
  const left = new Set(others.map((name) => join(root, name)));
  cpSync(root, elsewhere, {
    recursive: true,
    verbatimSymlinks: true,
    filter: (from) => !left.has(from) && !from.endsWith(".vsix"),
  });
  run("sh", [
    "-c",
    'umask 077; export TZ=Asia/Tokyo; exec "$0" "$1"',
    process.execPath,
    join(elsewhere, "test/tools/package.mjs"),
  ]);
  const hash = (file: string) => createHash("sha256").update(readFileSync(file)).digest("hex");
  for (const [target, file] of made) {
    assert.equal(hash(join(elsewhere, basename(file))), hash(file), target);
  }
});
